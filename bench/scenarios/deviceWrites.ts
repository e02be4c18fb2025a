import { createStream, startLogbrook, type Logbrook } from "../servers/logbrook.ts"
import { cpuMs, deviceWriteBytes } from "../servers/processes.ts"
import { thousands } from "../stats.ts"
import type { Bench, Scenario } from "./Scenario.ts"

const partitions = 16
const payloadBytes = 100
const stream = "sensors"

interface Written {
  readonly perSecond: number
  readonly writtenPerPayloadByte: number
  readonly storedPerMessage: number
  readonly serverCpuUs: number
}

const measure = async ({ load, isQuick }: Bench, server: Logbrook, perSecond: number): Promise<Written> => {
  const { mqttPort, kafkaPort } = server
  const options = {
    mqttPort,
    kafkaPort,
    topic: stream,
    partitions,
    connections: 100,
    perSecond,
    payloadBytes,
    fetches: false
  }
  await load.call("runPaced", { ...options, durationMs: 1000 })
  const written = deviceWriteBytes(server.pid)
  const stored = server.storedBytes()
  const cpu = cpuMs(server.pid)
  const { messages } = await load.call("runPaced", { ...options, durationMs: isQuick ? 3000 : 20_000 })
  return {
    perSecond,
    writtenPerPayloadByte: (deviceWriteBytes(server.pid) - written) / (messages * payloadBytes),
    storedPerMessage: (server.storedBytes() - stored) / messages,
    serverCpuUs: ((cpuMs(server.pid) - cpu) * 1000) / messages
  }
}

/** What steady loads of 100 B messages over 16 partitions write to the device and leave on it. */
export const deviceWrites: Scenario = async (bench) => {
  const server = await startLogbrook(bench.serverCpus)
  try {
    await createStream(server, { name: stream, filters: ["sensors/+/data"], partitions })
    const runs = [await measure(bench, server, 1000), await measure(bench, server, 10_000)]
    const rows = runs.map((run) => [
      thousands(run.perSecond),
      run.writtenPerPayloadByte.toFixed(1),
      run.storedPerMessage.toFixed(0),
      run.serverCpuUs.toFixed(1)
    ])
    const columns = ["messages/s", "bytes written per payload byte", "bytes stored per message", "CPU µs/msg"]
    const bars = runs.flatMap(({ perSecond, writtenPerPayloadByte, storedPerMessage }) => [
      {
        what: `written to the device at ${thousands(perSecond)}/s`,
        measured: writtenPerPayloadByte,
        unit: "bytes per payload byte",
        bound: undefined
      },
      {
        what: `stored per message at ${thousands(perSecond)}/s`,
        measured: storedPerMessage,
        unit: "bytes",
        bound: undefined
      }
    ])
    const title = `device-writes: ${payloadBytes} B payload, ${partitions} partitions, QoS 1`
    return { scenario: "device-writes", tables: [{ title, columns, rows }], bars, raw: runs }
  } finally {
    await server.stop()
  }
}
