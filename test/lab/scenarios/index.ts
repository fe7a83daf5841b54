/** All scenarios, in the order in which they run. */
import type { Scenario } from "../scenario.ts";
import { badConfiguration } from "./bad-configuration.ts";
import { balancerPenalised } from "./balancer-penalised.ts";
import { conntrackFull, conntrackFullRouter } from "./conntrack-full.ts";
import { cpuStarvation, cpuStarvationSilent } from "./cpu-starvation.ts";
import { crash } from "./crash.ts";
import { crashLoop } from "./crash-loop.ts";
import { killedInCrash, killedInRefusals, killedInResets } from "./exporter-killed.ts";
import { firewallIdle } from "./firewall-idle.ts";
import { flowLogsReject } from "./flow-logs-reject.ts";
import { haproxyLog } from "./haproxy-log.ts";
import { healthCheck } from "./health-check.ts";
import { linkFlap } from "./link-flap.ts";
import { journaldRestarted, logRotated } from "./log-sources.ts";
import { loginGrace, loginGraceSilent } from "./login-grace.ts";
import { maxStartups } from "./max-startups.ts";
import { middleboxPreauth } from "./middlebox-preauth.ts";
import { middleboxReset } from "./middlebox-reset.ts";
import { missingHostKeys } from "./missing-host-keys.ts";
import { mtuBlackhole } from "./mtu-blackhole.ts";
import { mtuInbound } from "./mtu-inbound.ts";
import { mtuLearned } from "./mtu-learned.ts";
import { oomOther } from "./oom-other.ts";
import { oomSession } from "./oom-session.ts";
import { oomSshd } from "./oom-sshd.ts";
import { openFiles } from "./open-files.ts";
import { oneLaptop, peerResetConnect, peerResetKex, peerResetSession } from "./peer-reset.ts";
import { penalisedStrangers } from "./penalised-strangers.ts";
import { perSourceMaxStartups } from "./per-source-max-startups.ts";
import { perSourcePenalties } from "./per-source-penalties.ts";
import { proxyIdle } from "./proxy-idle.ts";
import { proxyProtocol } from "./proxy-protocol.ts";
import { quiet } from "./quiet.ts";
import { restart } from "./restart.ts";
import { strangersReset } from "./strangers.ts";
import { tasksMax } from "./tasks-max.ts";
import { tcpWrappers } from "./tcp-wrappers.ts";
import { tcpWrappersStrangers } from "./tcp-wrappers-strangers.ts";

export const scenarios: readonly Scenario[] = [
  ...[crash, crashLoop, badConfiguration, missingHostKeys, restart],
  ...[oomSshd, oomSession, oomOther, tasksMax, openFiles, cpuStarvation, cpuStarvationSilent],
  ...[maxStartups, perSourceMaxStartups, perSourcePenalties, penalisedStrangers, loginGrace, loginGraceSilent],
  ...[tcpWrappers, tcpWrappersStrangers],
  ...[mtuBlackhole, mtuInbound, mtuLearned],
  ...[conntrackFull, conntrackFullRouter, middleboxReset, middleboxPreauth, firewallIdle, proxyIdle],
  ...[haproxyLog, proxyProtocol, balancerPenalised, flowLogsReject],
  ...[peerResetSession, peerResetKex, peerResetConnect, oneLaptop, strangersReset, healthCheck, linkFlap],
  ...[journaldRestarted, logRotated, killedInCrash, killedInRefusals, killedInResets],
  quiet,
];
