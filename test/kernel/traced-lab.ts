/**
 * The network of test/netns.ts with tracefs and the programs that faults on a real sshd need. What is missing here skips
 * the test that asks.
 */
import { debianOr, type Tool } from "../../tools/debian.ts";
import { skip } from "../../tools/skip.ts";
import { type Lab, labProblem, openLab } from "../netns.ts";
import { mountTracefs, type TracefsMount } from "./tracefs.ts";

export interface TracedLab {
  readonly lab: Lab;
  readonly tracefs: TracefsMount;
  readonly nft: Tool;
}

export async function openTracedLab(context: Mocha.Context): Promise<TracedLab> {
  const problem = labProblem();
  if (problem !== undefined) skip(context, problem);
  const nft = await debianOr(context, "nft");
  await debianOr(context, "sshd");
  await debianOr(context, "rsyslogd");
  let tracefs: TracefsMount;
  try {
    tracefs = mountTracefs();
  } catch (error) {
    skip(context, String(error));
  }
  try {
    return { lab: await openLab(), tracefs, nft };
  } catch (error) {
    tracefs.close();
    throw error;
  }
}
