/**
 * sshd: the daemon's own life: listening, signals, reload, why it failed to start, what it could not get, and session
 * processes that crashed. Gives sshd.listening, sshd.signal, sshd.reload, sshd.start_failed, sshd.resource_error,
 * sshd.session_crash. Texts: openssh sshd.c, sshd-session.c, monitor.c, monitor_wrap.c, sshkey file loading.
 */
import type { Event, SshdResourceError, SshdStartFailed } from "../model/event.ts";
import { canonicalAddress, readPeer } from "./address.ts";
import { noted, readPid, readSignal, type Said, sshdSays } from "./wording.ts";

function startFails(
  id: string,
  reason: SshdStartFailed["reason"],
  versions: string,
  origin: string,
  starts: readonly string[],
  tail = /^/,
) {
  const event: SshdStartFailed = { kind: "sshd.start_failed", reason };
  return sshdSays({ id, versions, origin, starts, read: ({ rest }) => (tail.test(rest) ? event : undefined) });
}

export const sshdLife = [
  sshdSays({
    id: "sshd-listening",
    versions: "4.9+",
    origin: "sshd.c listen_on_addrs",
    starts: ["Server listening on "],
    read: listening,
  }),
  sshdSays({
    id: "sshd-signal",
    versions: "4.9+",
    origin: "sshd.c server_accept_loop",
    starts: ["Received signal "],
    read({ rest }) {
      const signal = rest.endsWith("; terminating.") ? readSignal(rest.slice(0, -14)) : undefined;
      return signal === undefined ? undefined : { kind: "sshd.signal", signal };
    },
  }),
  sshdSays({
    id: "sshd-reload",
    versions: "4.9+",
    origin: "sshd.c sighup_restart",
    starts: ["Received SIGHUP; restarting."],
    read: ({ rest }) => (rest === "" ? { kind: "sshd.reload" } : undefined),
  }),
  startFails("sshd-restart-failed", "restart", "4.9+", "sshd.c sighup_restart", ["RESTART FAILED: "]),
  startFails("sshd-cannot-bind", "bind", "4.9+", "sshd.c server_listen", [
    "Cannot bind any address.",
    "listen on [",
    "Too many listen sockets.",
  ]),
  sshdSays({
    id: "sshd-bind-failed",
    versions: "4.9+",
    origin: "sshd.c listen_on_addrs; one address of several, `Cannot bind any address.` is the failure",
    starts: ["Bind to port "],
    read: ({ rest }) => (/^\d{1,5} on \S{2,64} failed: /.test(rest) ? noted : undefined),
  }),
  startFails("sshd-no-hostkeys", "host_keys", "4.9+", "sshd.c main", [
    "sshd: no hostkeys available -- exiting.",
    "no hostkeys available -- exiting.",
  ]),
  sshdSays({
    id: "sshd-host-key-unreadable",
    versions: "4.9+",
    origin: "sshd.c main, authfile.c; one key of several, `no hostkeys available` is the failure",
    starts: [
      "Could not load host key: ",
      "Unable to load host key",
      "@",
      "Permissions 0",
      "It is required that your private key files are NOT accessible by others.",
      "This private key will be ignored.",
      "bad permissions: ignore key: ",
      "key_load_private: ",
      "key_load_public: ",
      "Could not load host certificate",
      "Could not demote key",
    ],
    read: () => noted,
  }),
  startFails("sshd-privilege-separation", "privilege_separation", "4.9+", "sshd.c main", [
    "Privilege separation user ",
    "Missing privilege separation directory: ",
  ]),
  startFails(
    "sshd-directory-owner",
    "privilege_separation",
    "4.9+",
    "sshd.c main",
    ["/"],
    /^\S{1,256} must be owned by root and not group or world-writable\.$/,
  ),
  startFails(
    "sshd-binary-missing",
    "binary",
    "9.8+",
    "sshd.c main",
    ["/"],
    /^\S{1,256} does not exist or is not executable$/,
  ),
  startFails("sshd-exec-failed", "binary", "4.9+", "sshd.c server_accept_loop, sshd-session.c", [
    "rexec of ",
    "recv_rexec_state: ",
    "ssh_msg_recv failed",
    "privsep_preauth: exec of ",
  ]),
  startFails(
    "sshd-bad-configuration",
    "configuration",
    "4.9+",
    "servconf.c; the sum of all bad lines",
    ["/"],
    /^[^ ]{1,256}: terminating, \d{1,6} bad configuration options$/,
  ),
  sshdSays({
    id: "sshd-bad-configuration-line",
    versions: "4.9+",
    origin: "servconf.c process_server_config_line; the sum follows",
    starts: ["/"],
    read: ({ rest }) => (/^\S{1,256}:? line \d{1,9}: /.test(rest) ? noted : undefined),
  }),
  sshdSays({
    id: "sshd-accept-failed",
    versions: "4.9+",
    origin: "sshd.c server_accept_loop",
    starts: [
      "accept: ",
      "fork: ",
      "fork of unprivileged child failed",
      "do_exec_no_pty: fork: ",
      "do_exec_pty: fork: ",
      "reexec socketpair: ",
      "socketpair: ",
      "ppoll: ",
      "server_accept_loop: pipe(startup_p): ",
      "privsep_preauth: fork: ",
    ],
    read: resourceError,
  }),
  sshdSays({
    id: "sshd-child-slots-full",
    versions: "9.8+",
    origin: "sshd.c server_accept_loop",
    starts: ["accepted connection when all "],
    read: ({ rest }) =>
      rest.endsWith(" slots full") ? { kind: "sshd.resource_error", resource: "process" } : undefined,
  }),
  sshdSays({
    id: "sshd-terminal-failed",
    versions: "4.9+",
    origin: "sshpty.c pty_allocate, session.c",
    starts: ["openpty: ", "session_pty_req: session ", "no more sessions."],
    read: () => ({ kind: "sshd.resource_error", resource: "terminal" }),
  }),
  sshdSays({
    id: "sshd-preauth-child-killed",
    versions: "5.9-10.0",
    origin: "sshd.c privsep_preauth",
    starts: ["privsep_preauth: preauth child "],
    read: preauthChild,
  }),
  sshdSays({
    id: "sshd-session-killed",
    versions: "9.8+",
    origin: "sshd.c child_reap",
    starts: ["session process "],
    read: sessionProcess,
  }),
  sshdSays({
    id: "sshd-unprivileged-crash",
    versions: "9.8+",
    origin: "sshd.c child_reap",
    starts: ["Session process "],
    read: unprivilegedCrash,
  }),
  sshdSays({
    id: "sshd-child-reaped",
    versions: "9.8+",
    origin: "monitor_wrap.c mm_reap, monitor.c monitor_child_preauth (10.1+); the listener tells the crash",
    starts: ["mm_reap: ", "monitor_child_preauth: preauth child "],
    read: () => noted,
  }),
  sshdSays({
    id: "sshd-other-half-died",
    versions: "4.9+",
    origin: "monitor_wrap.c, monitor.c; a consequence",
    starts: [
      "mm_request_receive: ",
      "mm_request_send: ",
      "monitor_read: ",
      "ssh_msg_send: ",
      "send_rexec_state: ",
      "mm_log_handler: ",
      "mm_answer_",
    ],
    read: () => noted,
  }),
  sshdSays({
    id: "sshd-session-detail",
    versions: "4.9+",
    origin: "session.c, serverloop.c, auth*.c; life inside a connection",
    starts: [
      "Starting session: ",
      "Close session: ",
      "subsystem request for ",
      "Set /proc/self/oom_score_adj ",
      "Authentication refused: ",
      "Authentication tried for ",
      "reverse mapping checking getaddrinfo for ",
      "Address ",
      "Nasty PTR record ",
      "syslogin_perform_logout: ",
      "Exiting on signal ",
      "Could not get shadow information for ",
      "Could not chdir to home directory ",
      "Changed root directory to ",
      "Setting tty modes failed: ",
      "Account ",
      "Certificate invalid: ",
      "Authentication key ",
      "Authorized to ",
      "Rhosts authentication refused for ",
      "auth_rhosts2 refused ",
      "userauth_pubkey: ",
      "userauth_hostbased: ",
      "WARNING: ",
      "X11 connection ",
      "channel ",
      "session opened for local user ",
      "session closed for local user ",
      "lastlog_",
      "ssh_selinux_",
      "debug1: ",
      "debug2: ",
      "debug3: ",
    ],
    read: () => noted,
  }),
];

/** `ADDR port P.`, `ADDR port P rdomain R.` */
function listening({ rest }: Said): Event | undefined {
  if (!rest.endsWith(".")) return undefined;
  const rdomain = rest.indexOf(" rdomain ");
  const peer = readPeer(rest.slice(0, rdomain === -1 ? -1 : rdomain));
  if (peer?.address === undefined || peer.port === undefined) return undefined;
  return { kind: "sshd.listening", address: peer.address, port: peer.port };
}

const resourceErrors: Readonly<Record<string, SshdResourceError["resource"]>> = {
  "Too many open files": "files",
  "Too many open files in system": "files",
  "Cannot allocate memory": "memory",
  "No buffer space available": "memory",
  "Resource temporarily unavailable": "process",
};

function resourceError({ rest }: Said): Event | undefined {
  if (rest === "") return { kind: "sshd.resource_error", resource: "process" };
  const resource = Object.hasOwn(resourceErrors, rest) ? resourceErrors[rest] : undefined;
  return resource === undefined ? undefined : { kind: "sshd.resource_error", resource };
}

/** `terminated by signal N`, `exited with status N`. */
function preauthChild({ rest }: Said): Event | undefined {
  const found = /^(?:terminated by signal (\d{1,2})|exited with status \d{1,3})$/.exec(rest);
  if (found === null) return undefined;
  const signal = readSignal(found[1] ?? "");
  return signal === undefined ? noted : { kind: "sshd.session_crash", signal };
}

/** `PID for connection from A to LA killed by signal N⟦ (early)⟧`, `... terminated abnormally, status=0xN`. */
function sessionProcess({ rest }: Said): Event | undefined {
  const found =
    /^(\d{1,7}) for (?:connection from )?(\S{2,64}) to \S{2,64} (?:killed by signal (\d{1,2})|terminated abnormally, status=0x[0-9a-f]{1,8})(?: \((?:early|sending config|sending keys)\))?$/.exec(
      rest,
    );
  const pid = readPid(found?.[1] ?? "");
  if (found === null || pid === undefined) return undefined;
  const address = canonicalAddress(found[2] ?? "");
  const signal = readSignal(found[3] ?? "");
  return {
    kind: "sshd.session_crash",
    pid,
    ...(address !== undefined && { address }),
    ...(signal !== undefined && { signal }),
  };
}

/** `PID unpriv child crash for connection from A to LA`. */
function unprivilegedCrash({ rest }: Said): Event | undefined {
  const found =
    /^(\d{1,7}) unpriv child crash for connection from (\S{2,64}) to \S{2,64}(?: \((?:early|sending config|sending keys)\))?$/.exec(
      rest,
    );
  const pid = readPid(found?.[1] ?? "");
  if (pid === undefined) return undefined;
  const address = canonicalAddress(found?.[2] ?? "");
  return { kind: "sshd.session_crash", pid, ...(address !== undefined && { address }) };
}
