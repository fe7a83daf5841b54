import { type Bench, type Evidence, exactly, type Scenario } from "../scenario.ts";

const alone = { kind: "cpu", why: "load is the machine's, not a host's" };

/** Many tasks want the CPUs, sshd's unit gets a hundredth of one: how many logins of known peers then fail. */
async function starve({ host, clients, knownPeers }: Bench): Promise<number> {
  await host.configure("LoginGraceTime 5\nMaxStartups 100\n");
  host.load(32);
  await host.run("systemctl set-property --runtime ssh.service CPUQuota=1%");
  const logins = knownPeers.map((peer) => clients.ssh(peer, "true", ["-o", "ConnectTimeout=60"], 60_000));
  const failed = (await Promise.all(logins)).filter(({ status }) => status !== 0).length;
  if (failed < 3) throw new Error(`only ${failed} logins failed: sshd was not starved`);
  return failed;
}

const heal = async ({ host }: Bench): Promise<void> => {
  host.unload();
  await host.run("systemctl set-property --runtime ssh.service CPUQuota=");
  await host.configure("");
};

const timeouts = (failed: number): Evidence =>
  exactly(
    "connections_ended_total",
    failed,
    { outcome: "timeout", peer_class: "known" },
    { count: failed, by: "clients" },
  );

export const cpuStarvation: Scenario = {
  name: "cpu-starvation",
  title: "tasks without number want the CPUs, and logins of known peers take longer than LoginGraceTime",
  releases: ["13"],
  alone,
  page: "SshResetCpuPressure",
  pageDeadlineSeconds: 60,
  async inject(bench) {
    const failed = await starve(bench);
    return [
      timeouts(failed),
      // Four for each CPU; the load of the machine is an average of a minute.
      {
        ...{ metric: "load1", atLeast: 8.01, gauge: true, truth: 32 },
        why: "the load is an average over a minute, of all that runs on the machine",
      },
    ];
  },
  heal,
};

export const cpuStarvationSilent: Scenario = {
  name: "cpu-starvation-silent",
  title: "the same on OpenSSH 9.2, which logs no login timeout: no cause can be named",
  releases: ["12"],
  alone,
  page: undefined,
  async inject(bench) {
    const failed = await starve(bench);
    return [
      {
        ...timeouts(failed),
        atLeast: 0,
        why: "9.2 of Debian logs no grace timeout; load alone is no evidence of resets",
      },
    ];
  },
  heal,
};
