"""Five real processes over loopback, through the SDK: what people are promised, and what bad input gets."""
