import { defaultLimits } from "@logbrook/core/Limits"
import { TestClock } from "../../../core/test/support/TestClock.ts"
import { listenHttp } from "../../src/http/HttpServer.ts"
import { RetentionClock } from "../../src/RetentionClock.ts"
import { type Ran, run } from "../cli/support.ts"
import { type Kit, type KitOptions, startKit } from "../mqtt/kit.ts"
import { localListener } from "../support/listener.ts"
import { acquired } from "../support/parts.ts"

export interface Answer {
  readonly status: number
  // oxlint-disable-next-line typescript/no-explicit-any -- whatever the server says
  readonly body: any
}

/** An MQTT broker with the HTTP API over it. */
export const startMqttHttp = async (options: KitOptions = {}) => {
  const kit: Kit = await startKit(options)
  const { made, close } = await acquired(
    listenHttp(
      kit.broker,
      {
        journal: kit.journal,
        readiness: { isDraining: false },
        mqtt: kit.mqtt,
        retentionClock: new RetentionClock(new TestClock(), defaultLimits, {
          lastTimeMs: undefined,
          heldAtMs: undefined
        }),
        config: { settings: [], sinceMs: 0 }
      },
      [localListener("http")]
    )
  )
  const url = `http://127.0.0.1:${made[0]!.port}`
  const call = async (path: string, method = "GET"): Promise<Answer> => {
    const response = await fetch(url + path, { method })
    return { status: response.status, body: await response.json() }
  }
  /** The items of all pages, of `limit` each. */
  const pages = async (path: string, limit: number): Promise<ReadonlyArray<unknown>> => {
    const all: Array<unknown> = []
    for (let cursor: string | null = null; ;) {
      const from: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`
      const { body } = await call(`${path}${path.includes("?") ? "&" : "?"}limit=${limit}${from}`)
      all.push(...body.data)
      if (!body.meta.hasnext) return all
      cursor = body.meta.cursor as string
    }
  }
  /** A command that asks this server. */
  const cli = (words: ReadonlyArray<string>, tty = false): Promise<Ran> => run([...words, "--url", url], tty)
  const stop = async (): Promise<void> => {
    await close()
    await kit.stop()
  }
  return { kit, call, pages, cli, stop }
}

export type MqttHttp = Awaited<ReturnType<typeof startMqttHttp>>
