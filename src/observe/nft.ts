/** Runs nft(8) with a ruleset on standard input. */
import { spawn } from "node:child_process";

const timeoutMs = 10_000;

/** Validates the whole transaction first, then loads it. Throws an Error with nft's own words. */
export async function loadRuleset(text: string): Promise<void> {
  await nft(["-c", "-f", "-"], text);
  await nft(["-f", "-"], text);
}

function nft(args: readonly string[], input: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("nft", args, { stdio: ["pipe", "ignore", "pipe"] });
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    let complaint = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      complaint = (complaint + chunk).slice(0, 2000);
    });
    child.on("error", (error) => {
      clearTimeout(timer);
      const missing = "code" in error && error.code === "ENOENT";
      reject(missing ? new Error("nft: not found in PATH: install nftables") : error);
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (code === 0) return resolve();
      const how = signal === null ? `exit code ${code}` : `ended after ${timeoutMs / 1000} s`;
      reject(new Error(`nft ${args.join(" ")}: ${how}: ${complaint.trim()}`));
    });
    // nft may end without reading it all.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}
