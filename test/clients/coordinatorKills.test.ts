import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { KafkaClient } from "../../bench/load/KafkaClient.ts"
import { shimEnv } from "../support/diskShim.ts"
import { javaSource } from "../support/java.ts"
import { kcatRead } from "../support/kcat.ts"
import { type Command, LineProgram } from "../support/LineProgram.ts"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { pythonSource } from "../support/python.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"

// A coordinator of transactions is killed (`kill -9`) in each of its states, and finishes what was prepared. The disk is slow, so that each state
// lasts: of a commit that is under way the pages are written by then, and what makes it count is not. What the kill has hit is told by the journal
// that it leaves. PrepareEpochFence is there within a commit only.

type State = "Empty" | "Ongoing" | "PrepareCommit" | "PrepareAbort" | "CompleteCommit" | "CompleteAbort"
type Outcome = "commit" | "abort"

const clients: Readonly<Record<string, (brokers: string) => Command>> = {
  "Java, version 2": (brokers) => ({ command: "java", args: javaSource("EndTransactions.java", [brokers]) }),
  "librdkafka, version 1": (brokers) =>
    pythonSource({ packages: "confluent", program: "endTransactions.py" }, [brokers])
}

const slowMs = 400
/** An abort by a timeout begins with the start of the server, which takes a while to tell of it. */
const slowStartMs = 1500
const timeoutMs = 3000
const noTimeoutMs = 600_000
const waitMs = 90_000
/** On a busy machine a kill may come too late. */
const triesMax = 5

let server: ServerProcess
let directory: string
let syncLog: string
/** Numbers the transactional ids, which are the names of their topics and groups as well. */
let count = 0

const slowDisk = (ms: number) =>
  shimEnv({ directory: server.dataDir, does: `slow ${ms}`, operations: ["sync"], match: "seg-", logFile: syncLog })

/** Commits that have begun since the disk is slow. */
const syncs = (): number => (fs.existsSync(syncLog) ? fs.readFileSync(syncLog, "utf8").split("\n").length - 1 : 0)

const stateOf = async (id: string): Promise<State> => {
  const { state } = await server.get<{ readonly state: State }>(`/transactions/${id}`)
  return state
}

/** As the journal of a server that was killed has it. */
const stateLeft = async (id: string): Promise<State> => {
  const text = await server.cli("journal", "state", `transaction/${id}`, "--data-dir", server.dataDir, "--json")
  return (JSON.parse(text) as { readonly state: { readonly state: State } }).state.state
}

const restart = async (env: Readonly<Record<string, string>>): Promise<void> => {
  await server.kill()
  server.env = env
  await server.start()
}

/** What a reader of committed records gets, and whether it comes to the end. */
const readable = async (topic: string): Promise<ReadonlyArray<string>> => {
  const ends = await Promise.all([0, 1].map((isolationLevel) => endsOf(topic, isolationLevel)))
  expect(ends[1], "the last stable offsets").toEqual(ends[0])
  return (await kcatRead(server.kafka, topic)).map(({ value }) => value!.toString()).toSorted()
}

const endsOf = async (name: string, isolationLevel: number): Promise<ReadonlyArray<number>> => {
  const client = await KafkaClient.connect(server.ports.kafka)
  const partitions = [0, 1].map((partitionIndex) => ({ partitionIndex, timestamp: -1 }))
  const { topics } = await client.request(ListOffsets, 5, {
    replicaId: -1,
    isolationLevel,
    topics: [{ name, partitions }]
  })
  client.close()
  return topics[0]!.partitions.map(({ offset }) => offset)
}

/** -1: none. */
const committedOffset = async (groupId: string): Promise<number> => {
  const admin = kafkajsOf(server.kafka).admin()
  await admin.connect()
  const [topic] = await admin.fetchOffsets({ groupId, topics: ["in"] })
  await admin.disconnect()
  return Number(topic!.partitions[0]!.offset)
}

const recordsOf = (id: string): ReadonlyArray<string> => [`${id} 0`, `${id} 1`]

beforeAll(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-coordinator-"))
  syncLog = path.join(directory, "syncs")
  server = await ServerProcess.start()
  await server.createStream("in", {})
})
afterAll(async () => {
  const verified = await server?.stop()
  if (verified === 0) await server.cli("journal", "verify", "--data-dir", server.dataDir)
  await server?.dispose()
  fs.rmSync(directory, { recursive: true, force: true })
})

/** What was prepared is finished, or aborted since nobody has prepared anything. */
const finished = async (id: string, outcome: Outcome): Promise<void> => {
  const completed = outcome === "commit" ? "CompleteCommit" : "CompleteAbort"
  await waitUntil(completed, waitMs, async () => (await stateOf(id)) === completed)
  expect(await readable(id)).toEqual(outcome === "commit" ? recordsOf(id) : [])
  expect(await committedOffset(id)).toBe(outcome === "commit" ? 5 : -1)
}

/** When a kill is to come, behind the request that ends a transaction. */
interface Moment {
  readonly when: string
  readonly outcome: Outcome
  /** Commits that have begun by then. The first one has the end, the second one the markers and the completion. */
  readonly begun?: number
  readonly left: State
}

const moments: ReadonlyArray<Moment> = (["commit", "abort"] as const).flatMap((outcome): ReadonlyArray<Moment> => {
  const [prepared, completed] =
    outcome === "commit" ? (["PrepareCommit", "CompleteCommit"] as const) : (["PrepareAbort", "CompleteAbort"] as const)
  return [
    { when: "Ongoing, the end half written", outcome, begun: 1, left: "Ongoing" },
    { when: `${prepared}, the markers half written`, outcome, begun: 2, left: prepared },
    { when: completed, outcome, left: completed }
  ]
})

const named = (some: ReadonlyArray<Moment>) => some.map((moment) => [moment.when, moment.outcome, moment] as const)

describe.each(Object.entries(clients))("a coordinator of transactions, by %s", (_name, commandOf) => {
  let program: LineProgram | undefined

  const ask = async (verb: string, words: Record<string, string | number>): Promise<void> => {
    program ??= await LineProgram.start(commandOf(server.kafka))
    // The server is killed and started meanwhile.
    await program.ask(verb, words, waitMs)
  }
  const endProgram = async (): Promise<void> => {
    await program?.kill()
    program = undefined
  }
  const open = (id: string, offset: number): Promise<void> => ask("open", { id, to: id, from: "in", offset })

  const begin = async (transactionTimeoutMs: number): Promise<string> => {
    const id = `t${++count}`
    await restart({})
    await server.createStream(id, { partitions: 2 })
    await ask("init", { id, timeout: transactionTimeoutMs })
    await restart(await slowDisk(slowMs))
    return id
  }

  /** With its offset 5. The end, which is under way, and what the kill has left. */
  const killedAt = async ({ outcome, begun, left }: Moment) => {
    const id = await begin(noTimeoutMs)
    await open(id, 5)
    const before = syncs()
    const ended = ask("end", { id, outcome }).then(
      () => "done",
      (error: Error) => error.message
    )
    await waitUntil("the moment", waitMs, async () =>
      begun === undefined ? (await stateOf(id)) === left : syncs() >= before + begun
    )
    await server.kill()
    return { id, ended, left: await stateLeft(id) }
  }

  const hit = async (moment: Moment) => {
    for (let tries = 1; ; tries++) {
      const killed = await killedAt(moment)
      if (killed.left === moment.left || tries === triesMax) {
        expect(killed.left).toBe(moment.left)
        return killed
      }
    }
  }

  afterAll(endProgram)

  it.each(named(moments))(
    "killed in %s (%s), finishes it, and its producer goes on",
    async (_when, _outcome, moment) => {
      const { id, ended } = await hit(moment)
      server.env = {}
      await server.start()
      expect(await ended).toBe("done")
      await finished(id, moment.outcome)
      await open(id, 7)
      await ask("end", { id, outcome: "commit" })
      await waitUntil("its next commit", waitMs, async () => (await committedOffset(id)) === 7)
      expect(await readable(id)).toEqual(
        (moment.outcome === "commit" ? [1, 2] : [1]).flatMap(() => recordsOf(id)).toSorted()
      )
      await ask("close", { id })
    }
  )

  it.each(named(moments.filter(({ begun }) => begun === 2)))(
    "killed in %s (%s), finishes it, though its producer is gone",
    async (_when, _outcome, moment) => {
      const { id } = await hit(moment)
      await endProgram()
      server.env = {}
      await server.start()
      await finished(id, moment.outcome)
    }
  )

  it("killed in Empty, knows its producer", async () => {
    const id = await begin(noTimeoutMs)
    await server.kill()
    expect(await stateLeft(id)).toBe("Empty")
    server.env = {}
    await server.start()
    await open(id, 5)
    await ask("end", { id, outcome: "commit" })
    await finished(id, "commit")
    await ask("close", { id })
  })

  it("killed in Ongoing, and again in the abort that its timeout has prepared meanwhile, aborts", async () => {
    for (let tries = 1; ; tries++) {
      const id = await begin(timeoutMs)
      await open(id, 5)
      await server.kill()
      expect(await stateLeft(id)).toBe("Ongoing")
      await sleep(timeoutMs)
      server.env = await slowDisk(slowStartMs)
      await server.start()
      await waitUntil("the abort", waitMs, async () => (await stateOf(id)) !== "Ongoing")
      await server.kill()
      const left = await stateLeft(id)
      server.env = {}
      await server.start()
      await finished(id, "abort")
      await expect(ask("end", { id, outcome: "commit" })).rejects.toThrow()
      await ask("close", { id })
      if (left !== "PrepareAbort" && tries < triesMax) continue
      expect(left).toBe("PrepareAbort")
      return
    }
  })
})
