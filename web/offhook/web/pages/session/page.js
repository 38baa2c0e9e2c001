// @ts-check
// The session protocol by hand: POST /voice/start, a WebSocket, and an answer to the server's offer.

const form = /** @type {HTMLFormElement} */ (document.querySelector("#form"));
const startButton = /** @type {HTMLButtonElement} */ (document.querySelector("#start"));
const endButton = /** @type {HTMLButtonElement} */ (document.querySelector("#end"));
const state = /** @type {HTMLElement} */ (document.querySelector("#state"));
const lines = /** @type {HTMLElement} */ (document.querySelector("#lines"));
const voice = /** @type {HTMLAudioElement} */ (document.querySelector("#voice"));

/** @param {string} id */
const value = (id) => /** @type {HTMLInputElement} */ (document.querySelector(id)).value.trim();

/** What a server does for its page: a session for one visitor. */
async function startSession() {
  const answer = await fetch("/voice/start", {
    method: "POST",
    headers: { Authorization: `Bearer ${value("#key")}`, "Content-Type": "application/json" },
    body: JSON.stringify({ agent_id: value("#agent"), context: JSON.parse(value("#context") || "{}") }),
  });
  const session = await answer.json();
  if (!answer.ok) throw new Error(session.detail);
  return session;
}

async function call() {
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  const session = await startSession();
  document.body.dataset.session = session.session_id;
  const peer = new RTCPeerConnection();
  const socket = new WebSocket(session.websocket_url);
  /** @param {object} frame */
  const send = (frame) => socket.send(JSON.stringify(frame));

  peer.onicecandidate = ({ candidate }) => {
    if (socket.readyState === WebSocket.OPEN) send({ type: "ice-candidate", candidate });
  };
  peer.ontrack = ({ track, streams }) => {
    voice.srcObject = streams[0] || new MediaStream([track]);
  };
  socket.onopen = () => send({ type: "auth", token: session.token });
  socket.onmessage = async ({ data }) => {
    const frame = JSON.parse(data);
    switch (frame.type) {
      case "offer":
        await peer.setRemoteDescription(frame.sdp);
        for (const track of microphone.getTracks()) peer.addTrack(track, microphone);
        await peer.setLocalDescription(await peer.createAnswer());
        send({ type: "answer", sdp: peer.localDescription });
        break;
      case "ice-candidate":
        await peer.addIceCandidate(frame.candidate);
        break;
      case "call_started":
        state.textContent = "In call.";
        break;
      case "agent_speaking":
        state.textContent = "The agent speaks.";
        break;
      case "agent_listening":
        state.textContent = "The agent listens.";
        break;
      case "transcript": {
        const line = document.createElement("li");
        line.dataset.role = frame.role;
        line.textContent = frame.text;
        lines.append(line);
        break;
      }
      case "call_ended":
        state.textContent = `Call ended after ${Math.round(frame.duration)} s.`;
        break;
      case "error":
        state.textContent = `${frame.message} (${frame.code})`;
        break;
    }
  };
  endButton.onclick = () => send({ type: "close" });
  await new Promise((closed) => {
    socket.onclose = closed;
  });
  peer.close();
  for (const track of microphone.getTracks()) track.stop();
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  startButton.disabled = true;
  endButton.disabled = false;
  lines.replaceChildren();
  state.textContent = "Connecting…";
  try {
    await call();
  } catch (error) {
    state.textContent = error instanceof Error ? error.message : String(error);
  }
  startButton.disabled = false;
  endButton.disabled = true;
});
