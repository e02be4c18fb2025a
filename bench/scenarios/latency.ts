import { createStream, startLogbrook } from "../servers/logbrook.ts"
import { quantile, thousands } from "../stats.ts"
import type { Bar, Scenario } from "./Scenario.ts"

const partitions = 16
const stream = "sensors"

/** From the write of a PUBLISH to its record in the Fetch that waited for it; both ends in one process, one clock. */
export const latency: Scenario = async ({ load, serverCpus, isQuick }) => {
  const server = await startLogbrook(serverCpus)
  const raw: Record<string, { readonly p50: number; readonly p99: number; readonly max: number }> = {}
  try {
    await createStream(server, { name: stream, filters: ["sensors/+/data"], partitions })
    const { mqttPort, kafkaPort } = server
    const shape = { topic: stream, partitions, connections: 100, payloadBytes: 100, fetches: true }
    for (const perSecond of [1000, 10_000]) {
      const options = { mqttPort, kafkaPort, ...shape, perSecond }
      await load.call("runPaced", { ...options, durationMs: isQuick ? 500 : 2000 })
      const { latenciesMs } = await load.call("runPaced", { ...options, durationMs: isQuick ? 2000 : 10_000 })
      raw[perSecond] = { p50: quantile(latenciesMs, 0.5), p99: quantile(latenciesMs, 0.99), max: latenciesMs.at(-1)! }
    }
  } finally {
    await server.stop()
  }
  const columns = ["messages/s", "p50 ms", "p99 ms", "max ms"]
  const rows = Object.entries(raw).map(([rate, { p50, p99, max }]) => [
    thousands(Number(rate)),
    ...[p50, p99, max].map((ms) => ms.toFixed(2))
  ])
  const bars = Object.entries(raw).flatMap(([rate, { p50, p99 }]): Array<Bar> => [
    { what: `MQTT in to Kafka out at ${thousands(Number(rate))}/s, p50`, measured: p50, unit: "ms", bound: undefined },
    { what: `MQTT in to Kafka out at ${thousands(Number(rate))}/s, p99`, measured: p99, unit: "ms", bound: undefined }
  ])
  const title = "latency: MQTT QoS 1 of 100 B to a long-polling Kafka Fetch over 16 partitions"
  return { scenario: "latency", tables: [{ title, columns, rows }], bars, raw }
}
