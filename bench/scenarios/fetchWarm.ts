import type { LoadProcess } from "../load/LoadProcess.ts"

/** CPU is told in steps of 10 ms: one pass would take a few of them. */
const times = 8

/** All of a stream, again and again. */
export const fetchWarm = async (
  load: LoadProcess,
  options: { readonly port: number; readonly topic: string; readonly partitions: number }
): Promise<{ readonly bytes: number; readonly elapsedMs: number }> => {
  const sum = { bytes: 0, elapsedMs: 0 }
  for (let time = 0; time < times; time++) {
    const { bytes, elapsedMs } = await load.call("fetchAll", { ...options, connections: 2 })
    sum.bytes += bytes
    sum.elapsedMs += elapsedMs
  }
  return sum
}
