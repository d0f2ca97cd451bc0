"""What an installation of a size would take: cores, memory, disk and brokers, reckoned from what was measured.

`Load` is what people do, `Given` what the operator knows and nobody has measured, `units` what was measured with the
source of each figure, `plan` multiplies them (a pure function), `page` writes it down. Nothing is reckoned from a
figure that nobody has measured: such an item is named with the option by which to give one.
"""

from chapar_client.capacity._measured import Unit, units
from chapar_client.capacity._page import page
from chapar_client.capacity._plan import UTILISATION, Item, Missing, Plan, Range, plan
from chapar_client.capacity._sizes import Given, Load

__all__ = ["UTILISATION", "Given", "Item", "Load", "Missing", "Plan", "Range", "Unit", "page", "plan", "units"]
