/** The tests of test/lossless for longer and faster: 50,000 lines a second, 50 lives. */

import { disturbances, follow } from "../test/lossless/following.ts";
import { diskFull, killedAgainAndAgain } from "../test/lossless/lives.ts";
import { debian } from "../tools/debian.ts";
import { randomFrom } from "./corpus.ts";
import { journalFollowing } from "./journal-following.ts";
import type { Bench, Row } from "./rows.ts";

export const lossless: Bench = async (folder, say) => {
  const mtail = await debian("mtail", "trixie");
  const rows: Row[] = [];
  for (const [name, disturbance] of Object.entries(disturbances)) {
    const {
      written,
      exporter,
      exporterLost,
      tail,
      mtail: theirs,
    } = await follow({
      disturb: disturbance(),
      linesPerSecond: 50_000,
      seconds: 10,
      mtail,
    });
    const missing = (count: number): string => `${written - count}`;
    say(`${name}: ${written} lines`);
    rows.push({
      work: `log ${name}: missing of ${written} lines`,
      must: "0, or counted",
      aim: "0",
      measured: `${missing(exporter)} (${exporterLost} told; tail -F ${missing(tail)}, mtail ${missing(theirs)})`,
    });
  }
  const starved = await follow({
    disturb: disturbances["renamed every 0.5 s"]?.() ?? (() => undefined),
    linesPerSecond: 50_000,
    seconds: 12,
    mtail,
    starved: true,
  });
  rows.push({
    work: `log renamed every 0.5 s, five old files kept, readers stopped for 4 s of every 6: missing of ${starved.written} lines`,
    must: "0, or counted",
    aim: "0",
    measured: `${starved.written - starved.exporter} (${starved.exporterLost} told; tail -F ${starved.written - starved.tail}, mtail ${starved.written - starved.mtail})`,
  });
  if (process.getuid?.() === 0) rows.push(...(await journalFollowing(folder, say)));
  const lives = await killedAgainAndAgain(50, randomFrom(5));
  rows.push({
    work: `killed with -9 at 50 random moments: missing of ${lives.written} lines, told as lost, steps back`,
    must: "0",
    aim: "0",
    measured: `${lives.written - lives.counted}, ${lives.lost}, ${lives.stepsBack}`,
  });
  if (process.getuid?.() !== 0) return rows;
  const full = await diskFull();
  rows.push({
    work: `state directory full, then killed: missing of ${full.written} lines`,
    must: "0",
    aim: "0",
    measured: `${full.written - full.counted} (${full.commitErrors} commits failed)`,
  });
  return rows;
};
