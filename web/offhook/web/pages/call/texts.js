// @ts-check
/**
 * Every word a visitor reads, by language. `{name}` is the agent's name, `{time}` the length of the call. A further
 * language is one more entry; the type check says what it lacks.
 *
 * @typedef {{title: string, sentence: string}} Notice
 * @typedef {object} Texts
 * @property {string} someone the agent, before its name is known
 * @property {Record<import("../../sdk/states.js").State, string>} states
 * @property {{speaking: string, listening: string, muted: string}} floor
 * @property {string} call
 * @property {string} callAgain
 * @property {string} tryAgain
 * @property {string} mute
 * @property {string} end
 * @property {string} hear
 * @property {string} transcript
 * @property {string} you
 * @property {string} interrupted
 * @property {string} hint
 * @property {string} avatar
 * @property {Record<string, string>} endings by the server's reason; `other` for one that is not here
 * @property {Record<import("../../sdk/errors.js").ErrorCode, Notice>} errors
 * @property {Notice} blocked
 * @property {string} goOn
 * @property {Notice} back the sound is blocked after the page was reloaded
 */

/** @type {Texts} */
const en = {
  someone: "the agent",
  states: {
    idle: "Ready when you are",
    connecting: "Connecting…",
    ringing: "Ringing…",
    answered: "In call",
    held: "On hold",
    reconnecting: "Reconnecting…",
    ending: "Ending…",
    ended: "Call ended",
    error: "Call failed",
  },
  floor: { speaking: "{name} is speaking", listening: "{name} is listening", muted: "You are muted" },
  call: "Call {name}",
  callAgain: "Call again",
  tryAgain: "Try again",
  mute: "Mute",
  end: "End",
  hear: "Turn sound on",
  transcript: "Transcript",
  you: "You",
  interrupted: "interrupted",
  hint: "Your browser will ask for your microphone. It is open only during the call.",
  avatar: "Picture of {name}",
  endings: {
    caller_hangup: "You hung up.",
    agent_completed: "{name} ended the call.",
    operator_hangup: "The call was ended by our team.",
    transferred: "Your call was passed on.",
    no_answer: "{name} did not answer. Please try again in a moment.",
    lost: "The connection was lost.",
    replaced: "The call goes on in another window.",
    max_duration: "The call reached its longest allowed time.",
    silence: "The call ended because nothing was said for a while.",
    shutdown: "The service is being restarted. Please call again in a moment.",
    other: "The call is over.",
  },
  errors: {
    unsupported_browser: {
      title: "This browser cannot make calls",
      sentence: "Please open this page in a current version of Chrome, Edge, Firefox or Safari.",
    },
    insecure_origin: {
      title: "This page is not secure",
      sentence: "Browsers open the microphone only on a secure page. Please use the address that begins with https://.",
    },
    microphone_denied: {
      title: "Your microphone is blocked",
      sentence: "Allow the microphone for this page in your browser’s address bar, then try again.",
    },
    microphone_missing: {
      title: "No microphone found",
      sentence: "Connect a microphone or a headset, then try again.",
    },
    microphone_busy: {
      title: "Your microphone is in use",
      sentence: "Another program may be using it. Close that program, then try again.",
    },
    connection_failed: {
      title: "No audio connection",
      sentence: "Your network seems to block calls. Please try another network, or switch off a VPN or firewall.",
    },
    connection_lost: {
      title: "The audio connection was lost",
      sentence: "Please check your network, then call again.",
    },
    at_capacity: {
      title: "All lines are busy",
      sentence: "Everybody is in a call right now. Please try again in a few minutes.",
    },
    rate_limited: {
      title: "Too many calls in a short time",
      sentence: "Please wait a minute, then try again.",
    },
    unauthorized: {
      title: "This call is not allowed",
      sentence: "Your permission to call may have expired. Reload the page and try again.",
    },
    agent_failed: {
      title: "{name} cannot talk right now",
      sentence: "Something went wrong on our side. Please try again in a moment.",
    },
    server_gone: {
      title: "The server cannot be reached",
      sentence: "Please check your network. If it works, the service may be down for a moment.",
    },
    server_error: {
      title: "Something went wrong",
      sentence: "The fault is on our side. Please try again in a moment.",
    },
  },
  blocked: { title: "The sound is off", sentence: "Your browser keeps this page silent until you turn the sound on." },
  goOn: "Continue the call",
  back: { title: "You are still in the call", sentence: "Your browser keeps this page silent until you continue." },
};

/** @type {Texts} */
const de = {
  someone: "den Agenten",
  states: {
    idle: "Bereit für Ihren Anruf",
    connecting: "Verbindung wird aufgebaut …",
    ringing: "Es klingelt …",
    answered: "Im Gespräch",
    held: "Gehalten",
    reconnecting: "Verbindung wird wiederhergestellt …",
    ending: "Wird beendet …",
    ended: "Gespräch beendet",
    error: "Anruf fehlgeschlagen",
  },
  floor: { speaking: "{name} spricht", listening: "{name} hört zu", muted: "Ihr Mikrofon ist stumm" },
  call: "{name} anrufen",
  callAgain: "Noch einmal anrufen",
  tryAgain: "Noch einmal versuchen",
  mute: "Stumm",
  end: "Auflegen",
  hear: "Ton einschalten",
  transcript: "Mitschrift",
  you: "Sie",
  interrupted: "unterbrochen",
  hint: "Ihr Browser fragt gleich nach dem Mikrofon. Es ist nur während des Gesprächs offen.",
  avatar: "Bild von {name}",
  endings: {
    caller_hangup: "Sie haben aufgelegt.",
    agent_completed: "{name} hat das Gespräch beendet.",
    operator_hangup: "Unser Team hat das Gespräch beendet.",
    transferred: "Ihr Anruf wurde weitergeleitet.",
    no_answer: "{name} hat nicht abgenommen. Bitte versuchen Sie es gleich noch einmal.",
    lost: "Die Verbindung ist abgerissen.",
    replaced: "Das Gespräch geht in einem anderen Fenster weiter.",
    max_duration: "Das Gespräch hat die längste erlaubte Dauer erreicht.",
    silence: "Das Gespräch wurde beendet, weil längere Zeit nichts gesagt wurde.",
    shutdown: "Der Dienst wird neu gestartet. Bitte rufen Sie gleich noch einmal an.",
    other: "Das Gespräch ist vorbei.",
  },
  errors: {
    unsupported_browser: {
      title: "Dieser Browser kann nicht anrufen",
      sentence: "Bitte öffnen Sie die Seite in einer aktuellen Version von Chrome, Edge, Firefox oder Safari.",
    },
    insecure_origin: {
      title: "Diese Seite ist nicht sicher",
      sentence: "Browser öffnen das Mikrofon nur auf sicheren Seiten. Bitte nutzen Sie die Adresse mit https://.",
    },
    microphone_denied: {
      title: "Ihr Mikrofon ist gesperrt",
      sentence: "Erlauben Sie dieser Seite das Mikrofon in der Adressleiste und versuchen Sie es noch einmal.",
    },
    microphone_missing: {
      title: "Kein Mikrofon gefunden",
      sentence: "Schließen Sie ein Mikrofon oder Headset an und versuchen Sie es noch einmal.",
    },
    microphone_busy: {
      title: "Ihr Mikrofon wird benutzt",
      sentence: "Vielleicht von einem anderen Programm. Schließen Sie es und versuchen Sie es noch einmal.",
    },
    connection_failed: {
      title: "Keine Tonverbindung",
      sentence: "Ihr Netz scheint Anrufe zu sperren. Bitte versuchen Sie ein anderes Netz oder schalten Sie das VPN aus.",
    },
    connection_lost: {
      title: "Die Tonverbindung ist abgerissen",
      sentence: "Bitte prüfen Sie Ihr Netz und rufen Sie noch einmal an.",
    },
    at_capacity: {
      title: "Alle Leitungen sind besetzt",
      sentence: "Gerade sind alle im Gespräch. Bitte versuchen Sie es in einigen Minuten noch einmal.",
    },
    rate_limited: {
      title: "Zu viele Anrufe in kurzer Zeit",
      sentence: "Bitte warten Sie eine Minute und versuchen Sie es noch einmal.",
    },
    unauthorized: {
      title: "Dieser Anruf ist nicht erlaubt",
      sentence: "Vielleicht ist die Erlaubnis abgelaufen. Laden Sie die Seite neu und versuchen Sie es noch einmal.",
    },
    agent_failed: {
      title: "{name} kann gerade nicht sprechen",
      sentence: "Der Fehler liegt bei uns. Bitte versuchen Sie es gleich noch einmal.",
    },
    server_gone: {
      title: "Der Server ist nicht erreichbar",
      sentence: "Bitte prüfen Sie Ihr Netz. Geht es, ist der Dienst vielleicht kurz nicht verfügbar.",
    },
    server_error: {
      title: "Etwas ist schiefgegangen",
      sentence: "Der Fehler liegt bei uns. Bitte versuchen Sie es gleich noch einmal.",
    },
  },
  blocked: { title: "Der Ton ist aus", sentence: "Ihr Browser lässt die Seite stumm, bis Sie den Ton einschalten." },
  goOn: "Gespräch fortsetzen",
  back: { title: "Sie sind noch im Gespräch", sentence: "Ihr Browser lässt die Seite stumm, bis Sie fortfahren." },
};

/** @type {Record<string, Texts>} */
const LANGUAGES = { en, de };

/**
 * The texts in the first language of the visitor that we have; English where there is none.
 *
 * @param {ReadonlyArray<string>} wanted tags such as `de-AT`
 * @returns {{language: string, texts: Texts}}
 */
export function textsFor(wanted) {
  const language = wanted.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => tag in LANGUAGES) || "en";
  return { language, texts: LANGUAGES[language] };
}

/**
 * A text with its places filled in. The result is plain text, never markup.
 *
 * @param {string} text
 * @param {Record<string, string>} places
 */
export function fill(text, places) {
  return text.replace(/\{(\w+)\}/g, (whole, place) => (place in places ? places[place] : whole));
}
