// @ts-check
import { Meter } from "./meter.js";

/** Both voices of a call: holds the microphone, plays the agent, measures the two. Make it inside the visitor's gesture. */
export class Sound {
  /**
   * @param {HTMLAudioElement} audio
   * @param {MediaStream} remote
   * @param {() => void} onBlocked the browser does not play before the next gesture; then call `play()` in it
   */
  constructor(audio, remote, onBlocked) {
    this._audio = audio;
    this._remote = remote;
    this._onBlocked = onBlocked;
    this._context = new AudioContext();
    /** @type {MediaStream | null} */
    this._microphone = null;
    /** @type {{agent?: Meter, caller?: Meter}} */
    this._meters = {};
    audio.autoplay = true;
    audio.srcObject = remote;
    this.play();
  }

  /** Plays; again where the browser had refused. */
  play() {
    this._context.resume().catch(() => {});
    const played = this._audio.play();
    // AbortError only says that a newer play() took over.
    if (played) played.catch((error) => error.name === "NotAllowedError" && this._onBlocked());
  }

  /**
   * Takes the microphone; from now on it is closed with the call.
   *
   * @param {MediaStream} microphone
   * @param {boolean} muted
   */
  addCaller(microphone, muted) {
    this._microphone = microphone;
    this._meters.caller = new Meter(this._context, microphone);
    this.setMuted(muted);
  }

  /** Muted, the browser sends silence. @param {boolean} muted */
  setMuted(muted) {
    for (const track of this._tracks()) track.enabled = !muted;
  }

  /** Plays this voice; one that was played before is left. @param {MediaStreamTrack} track */
  setAgent(track) {
    for (const old of this._remote.getTracks()) this._remote.removeTrack(old);
    this._remote.addTrack(track);
    this._meters.agent = new Meter(this._context, this._remote);
    // Safari does not notice a track that joins a stream it already plays.
    this._audio.srcObject = this._remote;
    this.play();
  }

  /**
   * @param {"agent" | "caller"} who
   * @returns {number} from 0 to 1
   */
  level(who) {
    const meter = this._meters[who];
    return meter ? meter.level() : 0;
  }

  close() {
    for (const track of this._tracks()) track.stop();
    this._meters = {};
    this._audio.srcObject = null;
    this._context.close().catch(() => {});
  }

  _tracks() {
    return this._microphone ? this._microphone.getAudioTracks() : [];
  }
}
