import { systemClock, type Clock } from "@logbrook/core/Clock"
import type { Seq } from "@logbrook/core/journal/Journal"
import { Settler, type SettlerOptions } from "@logbrook/core/settle/Settler"

/** As long as a settler finds something to do; tells what it has done. Rejects with what failed. */
export const rewriteAll = async (
  options: Pick<SettlerOptions, "journal" | "logs" | "work"> &
    Partial<Pick<SettlerOptions, "at" | "compaction" | "clock" | "onFailed">>,
  segmentBytes: number,
  keptFromSeq: () => Seq
): Promise<ReadonlyArray<string>> => {
  const done: Array<string> = []
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const lookEveryMs = 12_345
  const clock: Clock = {
    ...systemClock,
    ...options.clock,
    // It waits because it has found nothing.
    after: (delayMs, task) => {
      if (delayMs !== lookEveryMs) return systemClock.after(delayMs, task)
      resolve()
      return () => undefined
    }
  }
  const settler = new Settler({
    onFailed: (segment, detail) => reject(new Error(`${segment}: ${detail}`)),
    ...options,
    clock,
    rewriting: { segmentBytes, freedBytesMin: 1, lookEveryMs, keptFromSeq },
    onHold: () => undefined,
    onSettled: (segment, _settled, _durationMs, kind) => done.push(`${kind} ${segment}`)
  })
  settler.start()
  await promise.finally(() => settler.stop())
  return done
}
