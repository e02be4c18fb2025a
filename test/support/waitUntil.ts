import { setTimeout as sleep } from "node:timers/promises"

/** Resolves with the first result that is not undefined or false; rejects after the time, naming what was waited for. */
export const waitUntil = async <A>(
  what: string,
  timeoutMs: number,
  check: () => A | undefined | false | Promise<A | undefined | false>
): Promise<A> => {
  const deadlineMs = performance.now() + timeoutMs
  for (;;) {
    const found = await check()
    if (found !== undefined && found !== false) return found
    if (performance.now() > deadlineMs) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await sleep(20)
  }
}
