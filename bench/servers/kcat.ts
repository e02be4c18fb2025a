import { output, start } from "./processes.ts"

const runMs = 120_000

/** Runs kcat to its end; resolves with the wall time in ms, its own start included. Rejects with what it says. */
export const runKcat = async (cpus: string, args: ReadonlyArray<string>): Promise<number> => {
  const began = performance.now()
  const { child, said, stop } = start(cpus, "kcat", args, { stdio: ["ignore", "ignore", "pipe"] })
  const { promise, resolve } = Promise.withResolvers<number | null>()
  child.once("close", resolve)
  const timer = setTimeout(() => void stop(), runMs)
  const code = await promise
  clearTimeout(timer)
  if (code !== 0) throw new Error(`kcat ${args.join(" ")}: ${code}, ${said()}`)
  return performance.now() - began
}

/** `librdkafka 2.0.2`; undefined when kcat is not installed. */
export const librdkafkaVersion = async (): Promise<string | undefined> =>
  /librdkafka [\d.]+/.exec((await output("kcat", ["-V"])) ?? "")?.[0]
