// @ts-check
/**
 * Every word that people read in the console, by language. `{…}` are places to fill in. A further language is one more
 * entry; the type check says what it lacks.
 *
 * @typedef {typeof en} Texts
 */

const en = {
  title: "offhook console",
  skip: "Skip to the content",
  pages: "Pages",
  calls: "Calls",
  agents: "Agents",
  keys: "Keys",
  signOut: "Sign out",
  signedOut: "You are signed out.",
  cancel: "Cancel",
  close: "Close",
  more: "Load more",
  loading: "Loading…",
  never: "never",
  yes: "yes",
  none: "–",
  signIn: {
    title: "Sign in",
    lead: "Use a secret key of your workspace. It stays in this tab and is forgotten when you close it.",
    key: "Secret key",
    hint: "It begins with sk_ and has the scopes of what you want to see.",
    act: "Sign in",
    link: "On the machine that runs offhook you need no key:",
    command: "offhook open calls",
    entering: "Signing you in…",
  },
  list: {
    title: "Calls",
    filters: "Filters",
    text: "Words said",
    textHint: "Searches ended calls.",
    state: "State",
    anyState: "Any state",
    reason: "Ended because",
    anyReason: "Any reason",
    agent: "Agent",
    channel: "Channel",
    since: "From",
    until: "Until",
    apply: "Apply",
    clear: "Clear",
    empty: "There are no calls yet. They appear here as soon as somebody calls.",
    noneFit: "No call fits these filters.",
    caption: "Calls, newest first",
    columns: { state: "State", began: "Began", agent: "Agent", caller: "Caller", duration: "Length", end: "Ended because" },
    shown: "{count} calls shown",
    live: "Updates by itself",
    stale: "Not up to date: {why}",
    unknownCaller: "unknown",
    open: "Call of {time}",
  },
  states: {
    created: "Created",
    connecting: "Connecting",
    ringing: "Ringing",
    answered: "In call",
    held: "On hold",
    reconnecting: "Reconnecting",
    ending: "Ending",
    ended: "Ended",
  },
  reasons: {
    caller_hangup: "Caller hung up",
    operator_hangup: "Ended by your team",
    agent_completed: "Agent said goodbye",
    transferred: "Transferred",
    no_answer: "No answer",
    lost: "Connection lost",
    max_duration: "Longest time reached",
    silence: "Silence",
    failed: "Failed",
    at_capacity: "All lines busy",
    shutdown: "Shut down",
  },
  call: {
    back: "All calls",
    title: "Call with {agent}",
    nobody: "nobody",
    facts: "About this call",
    id: "Id",
    agent: "Agent",
    version: "Version",
    variant: "Variant",
    channel: "Channel",
    mode: "Mode",
    caller: "Caller",
    callee: "Called",
    began: "Began",
    answered: "Answered",
    ended: "Ended",
    duration: "Length",
    failure: "Failure",
    metadata: "Metadata",
    variables: "Variables",
    timeline: "States",
    timelineLabel: "States of the call: {states}",
    stateLasted: "{state} for {time}",
    because: "because of {event}",
    goesOn: "goes on",
    numbers: "In numbers",
    untilAnswer: "Until it was answered",
    lines: "Lines said",
    agentSpoke: "Agent spoke",
    callerSpoke: "Caller spoke",
    interruptions: "Agent interrupted",
    firstWord: "Until the first word",
    quality: "Audio",
    opinion: "Opinion score",
    opinionOf: "{score} of 4.5",
    roundTrip: "Round trip",
    lossHere: "Lost from the caller",
    lossThere: "Lost to the caller",
    share: "{part} % of {count}",
    jitter: "Jitter",
    recovered: "Recovered",
    concealed: "Made up",
    transcript: "Transcript",
    nothingSaid: "Nothing was said.",
    saidBy: { caller: "Caller", agent: "Agent" },
    interrupted: "interrupted",
    analysis: "Analysis",
    analysisStates: { pending: "The analysis is being made.", done: "Done", failed: "The analysis failed: {error}" },
    outcome: "Outcome",
    raw: "Record as JSON",
    download: "Download JSON",
    copyId: "Copy id",
    copied: "Copied.",
    erase: "Erase",
    eraseTitle: "Erase this call?",
    eraseLead: "Its record, log, recording and analysis are deleted within a minute. This cannot be undone.",
    erased: "The call is erased.",
  },
  agent: {
    title: "Agents",
    lead: "Agents kept with their versions. New calls get the version that is published; calls that run keep theirs.",
    back: "All agents",
    caption: "Agents, those made last first",
    empty: "No agents are kept here. Those in the server's folder of agents are not in this list.",
    columns: { name: "Name", id: "Id", newest: "Newest", live: "Live", sandbox: "Sandbox", changed: "Changed" },
    versions: "Versions, newest first",
    versionColumns: { number: "Version", state: "State", note: "Note", made: "Made", acts: "Actions" },
    environments: { live: "live", sandbox: "sandbox" },
    standings: { live: "Live", sandbox: "Sandbox", draft: "Draft", published: "Was published" },
    document: "Document of the newest version",
    compare: "Compare",
    changes: "From version {before} to {after}",
    same: "The documents are the same.",
    publish: "Publish {environment}",
    publishTitle: "Publish version {number} {environment}?",
    publishLead: "New calls get this version within two seconds.",
    rollBack: "Roll back",
    rollBackTitle: "Roll {name} back?",
    rollBackLead: "New calls get the version that was live before.",
  },
  key: {
    title: "Keys",
    lead: "A secret key stays on your server. A publishable key stands in your page and only starts calls from its domains.",
    make: "New key",
    caption: "Keys, newest first",
    empty: "There are no keys.",
    columns: { name: "Name", kind: "Kind", ending: "Ends with", may: "For", used: "Last used", state: "State", acts: "Actions" },
    kinds: { secret: "secret", publishable: "publishable" },
    modes: { live: "live", test: "test" },
    everything: "everything",
    counts: "Counts",
    revoked: "Revoked",
    ranOut: "Ran out",
    runsOut: "Until {time}",
    mine: "this sign-in",
    name: "Name",
    nameHint: "What you call it, for example the program that uses it.",
    kind: "Kind",
    mode: "Mode",
    scopes: "Scopes",
    scopesHint: "Only for secret keys. None chosen: everything.",
    domains: "Domains",
    domainsHint: "Only for publishable keys, with spaces between: example.com *.example.com",
    create: "Make the key",
    made: "Your new key",
    once: "Copy it now. It is not shown again.",
    copy: "Copy",
    copied: "The key is in your clipboard.",
    rotate: "Rotate",
    rotateTitle: "Rotate {name}?",
    rotateLead: "You get a new key like this one. The old one counts for another while:",
    overlap: "The old key counts for",
    overlaps: { "0": "no longer", "3600": "one hour", "86400": "one day", "604800": "one week" },
    revoke: "Revoke",
    revokeTitle: "Revoke {name}?",
    revokeLead: "Whatever uses this key stops working at once. This cannot be undone.",
    revokedNow: "{name} is revoked.",
  },
  problems: {
    key_invalid: "This key is not known here. It may have been revoked or have run out.",
    secret_key_required: "This is a publishable key. Sign in with a secret key (sk_…).",
    token_used: "This link was used before. Ask for a new one: offhook open calls",
    token_expired: "This link is too old. Ask for a new one: offhook open calls",
    token_invalid: "This link is not complete or not from this server. Ask for a new one: offhook open calls",
    call_not_found: "There is no call with this id. It may have been erased.",
    server_gone: "The server does not answer. Check your network, then try again.",
    other: "Something went wrong: {message}",
  },
};

/** @type {Record<string, Texts>} */
const LANGUAGES = { en };

/**
 * The texts in the first language of the visitor that we have; English where there is none.
 *
 * @param {ReadonlyArray<string>} wanted tags such as `de-AT`
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

/**
 * The text for a word of the server; the word itself where it is newer than this page.
 *
 * @param {Record<string, string>} texts
 * @param {string} word
 */
export function wordFor(texts, word) {
  return Object.prototype.hasOwnProperty.call(texts, word) ? texts[word] : word;
}
