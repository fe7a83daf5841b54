/**
 * Colours that colour-blind people can tell apart: those of Okabe and Ito ("Color Universal Design", 2008), with grey in
 * the place of black, which is no colour on a dark page. A meaning has one colour on every dashboard.
 */
import type { Step } from "../../diagnosis/cause.ts";

export const okabeIto = {
  orange: "#E69F00",
  skyBlue: "#56B4E9",
  green: "#009E73",
  yellow: "#F0E442",
  blue: "#0072B2",
  vermilion: "#D55E00",
  purple: "#CC79A7",
  grey: "#7F7F7F",
} as const;

const { orange, skyBlue, green, yellow, blue, vermilion, purple, grey } = okabeIto;

export const good = green;
export const warning = orange;
export const bad = vermilion;
/** Not seen is not absent: never the colour of good. */
export const notJudged = grey;

/** Steps of a number that is neither good nor bad. */
export const plain = [{ from: null, colour: skyBlue }];

/** A cause's colour is its step's: the checklist has seven. */
export const stepColours: Readonly<Record<Step, string>> = {
  1: vermilion,
  2: orange,
  3: yellow,
  4: skyBlue,
  5: blue,
  6: purple,
  // Wine, of Paul Tol's muted scheme: the eight are used up.
  beyond: "#882255",
};

/** Of a cause that explains and pages nobody: light grey. */
export const planned = "#CCCCCC";

/** Values of labels, where they have a colour of their own. */
export const valueColours: Readonly<Record<string, string>> = {
  // outcome
  reset: vermilion,
  closed: yellow,
  disconnect: green,
  timeout: orange,
  dropped: purple,
  refused: blue,
  error: grey,
  // phase
  connect: blue,
  banner: skyBlue,
  kex: yellow,
  auth: orange,
  session: vermilion,
  unknown: grey,
  // peer_class; unknown as above
  known: vermilion,
  health_check: skyBlue,
  proxy: purple,
  // reason of a stop, victim of the OOM killer
  requested: skyBlue,
  reload: blue,
  crash: vermilion,
  oom_kill: orange,
  start_limit: purple,
  sshd: vermilion,
  sshd_session: orange,
  other: grey,
  // resource
  cpu: blue,
  memory: orange,
  io: purple,
  // reason of a reset sent
  not_specified: grey,
  no_socket: blue,
  tcp_abort_on_data: vermilion,
  tcp_abort_on_close: purple,
  tcp_invalid_ack_sequence: yellow,
  invalid_syn: green,
  // limit
  max_startups: orange,
  per_source_penalty: purple,
  penalty_table_full: vermilion,
  systemd_socket: blue,
  // timeout
  login_grace: orange,
  client_alive: blue,
  "60": orange,
  "240": skyBlue,
  "350": blue,
  "600": purple,
  // allowance
  conntrack: vermilion,
  pps: orange,
  linklocal: purple,
  bandwidth_in: skyBlue,
  bandwidth_out: blue,
  rate_limit: yellow,
  // source
  journal: green,
  logfile: blue,
  kmsg: orange,
  tcp_trace: purple,
};

/** For series without a meaning of their own, in this order. */
export const sequence: readonly string[] = [blue, orange, green, purple, skyBlue, vermilion, yellow, grey];
