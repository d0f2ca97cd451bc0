// Plays two people over grpc-js: signs in, sends, receives live, pays. Nothing of Chapar's Python is used here.
//
//   node client.mjs GATEWAY PROTOS
//
// Asks for sign-in codes on stdout ({"need_code": PHONE}) and reads them from stdin, one a line; asks for money with
// {"need_money": USER_ID}; ends with {"result": ...}. Everything it prints is one JSON object a line.

import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const [gateway, protos] = process.argv.slice(2);

const definition = protoLoader.loadSync(
  ["gateway", "identity", "messaging", "payments"].map((topic) => `chapar/${topic}/v1/${topic}.proto`),
  { includeDirs: [protos], longs: String, enums: String, defaults: true, oneofs: true, keepCase: true },
);
const { chapar } = grpc.loadPackageDefinition(definition);
const credentials = grpc.credentials.createInsecure();
const services = {
  gateway: new chapar.gateway.v1.GatewayService(gateway, credentials),
  identity: new chapar.identity.v1.IdentityService(gateway, credentials),
  messaging: new chapar.messaging.v1.MessagingService(gateway, credentials),
  payments: new chapar.payments.v1.PaymentsService(gateway, credentials),
};

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(question) {
  console.log(JSON.stringify(question));
  const { value, done } = await answers.next();
  if (done) throw new Error("nobody answers");
  return value;
}

function requestId() {
  const id = randomBytes(16);
  id.writeUIntBE(Date.now(), 0, 6);
  id[6] = 0x70 | (id[6] & 0x0f);
  id[8] = 0x80 | (id[8] & 0x3f);
  return id.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function bearer(token) {
  const metadata = new grpc.Metadata();
  if (token) metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

function call(service, method, request, token) {
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + 20_000 };
    services[service][method](request, bearer(token), options, (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
  });
}

const command = (service, method, request, token) =>
  call(service, method, { request_id: requestId(), ...request }, token);

async function signIn(phone) {
  const { challenge_id } = await command("identity", "StartSignIn", { phone });
  const code = await ask({ need_code: phone });
  const session = await command("identity", "CompleteSignIn", { challenge_id, code, device: "node" });
  return { userId: session.user_id, token: session.tokens.access_token };
}

// Collects frames and acknowledges them; `until` waits for one.
function subscribe(person) {
  const stream = services.gateway.Subscribe({}, bearer(person.token));
  const frames = [];
  let subscription = "";
  let wake = () => {};
  let failure = null;
  stream.on("data", (frame) => {
    frames.push(frame);
    if (frame.kind === "hello") subscription = frame.hello.subscription_id;
    call("gateway", "Ack", { subscription_id: subscription, frame: frame.frame }, person.token).catch((error) => {
      failure = error;
      wake();
    });
    wake();
  });
  stream.on("error", (error) => {
    failure = error;
    wake();
  });
  return {
    async until(wanted) {
      const ends = Date.now() + 20_000;
      for (;;) {
        const found = frames.find(wanted);
        if (found) return found;
        if (failure) throw failure;
        if (Date.now() > ends) throw new Error(`not among ${frames.map((frame) => frame.kind)}`);
        await new Promise((resolve) => {
          const timer = setTimeout(resolve, 1_000);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    },
    end() {
      failure = new Error("ended here");
      stream.cancel();
    },
  };
}

const messageWith = (test) => (frame) =>
  frame.kind === "inbox_event" && frame.inbox_event.kind === "message" && test(frame.inbox_event.message);

async function play() {
  const sara = await signIn("+989151110001");
  const reza = await signIn("+989151110002");
  const inbox = subscribe(reza);
  await inbox.until((frame) => frame.kind === "reset");

  const room = `d.${[sara.userId, reza.userId].sort().join(".")}`;
  const text = "سلام از گره";
  const sent = await command("messaging", "SendMessage", { conversation_id: room, text }, sara.token);
  const live = await inbox.until(messageWith((message) => message.sequence === sent.sequence));

  await ask({ need_money: sara.userId });
  const transfer = { payee_user_id: reza.userId, amount_rials: "25000", memo: "چای" };
  const paid = await command("payments", "Transfer", transfer, sara.token);
  const card = await inbox.until(messageWith((message) => message.content === "payment_card"));
  const history = await call("messaging", "ListMessages", { conversation_id: room }, reza.token);

  let refusal = null;
  try {
    await command("payments", "Transfer", { ...transfer, amount_rials: "-1" }, sara.token);
  } catch (error) {
    refusal = { code: grpc.status[error.code], reason: error.details };
  }
  inbox.end();
  return {
    sara: sara.userId,
    reza: reza.userId,
    live_text: live.inbox_event.message.text,
    transfer_id: paid.transfer_id,
    balance_rials: paid.balance_rials,
    card: card.inbox_event.message.payment_card,
    history: history.messages.map((message) => message.content),
    refusal,
  };
}

try {
  console.log(JSON.stringify({ result: await play() }));
  process.exit(0);
} catch (error) {
  console.log(JSON.stringify({ failure: String(error), code: error.code ?? null }));
  process.exit(1);
}
