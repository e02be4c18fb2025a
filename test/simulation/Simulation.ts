import { createHash } from "node:crypto"
import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import { PartitionKind } from "@logbrook/actors/partition/Partition"
import { SessionKind } from "@logbrook/actors/session/SessionProtocol"
import { catalogActor } from "@logbrook/actors/catalog/CatalogProtocol"
import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import { partitionId } from "@logbrook/core/actor/LogEvents"
import { defaultLimits } from "@logbrook/core/Limits"
import { Replay } from "@logbrook/core/shard/Replay"
import { definitions } from "@logbrook/server/Broker"
import type { Fields } from "@logbrook/server/Log"
import { makeClient } from "./clients/makeClient.ts"
import { GroupLedger } from "./clients/GroupLedger.ts"
import { offsetExpiryOf } from "./offsetExpiry.ts"
import { Member } from "./clients/Member.ts"
import { MqttLedger } from "./clients/MqttLedger.ts"
import { Producer } from "./clients/Producer.ts"
import { Transactor } from "./clients/Transactor.ts"
import type { Hooks } from "./faults/Hooks.ts"
import type { CompactionJob } from "@logbrook/core/settle/SettleJob"
import type { Work } from "@logbrook/core/settle/choose"
import { accountDifferences } from "./accounts.ts"
import { promising, simWorker } from "./SimSettler.ts"
import { LogWatch } from "./LogWatch.ts"
import { Model, sessionLogId } from "./Model.ts"
import { Link } from "./Network.ts"
import type { Mishap, NetworkPlan, Plan } from "./Plan.ts"
import { Random } from "./Random.ts"
import { Process, Scheduler } from "./Scheduler.ts"
import { seedGlobals } from "./seededGlobals.ts"
import { sum } from "./sum.ts"
import { SimDisk } from "./SimDisk.ts"
import { SimJournal } from "./SimJournal.ts"
import { SimServer, type SettlingOptions } from "./SimServer.ts"
import { ViewWatch } from "./ViewWatch.ts"
import type { Client, ClientEvents, ClientLink, World } from "./World.ts"
import { newestState } from "../../packages/core/test/support/newestState.ts"

export class Violation extends Error {
  readonly _tag = "Violation"
}

export interface Outcome {
  readonly seed: number
  /** Undefined: every invariant held. */
  readonly violation: string | undefined
  readonly simulatedMs: number
  /** Of everything that happened. */
  readonly hash: string
  readonly lives: number
  readonly mishaps: number
  readonly events: number
  readonly messages: number
  readonly steps: number
  readonly settled: number
  readonly rewritten: number
  readonly compacted: number
  /** Records, and tombstones among them, that compactions have removed. */
  readonly gone: number
  readonly tombstonesGone: number
  readonly trace: ReadonlyArray<string>
  readonly frames: ReadonlyArray<Buffer>
}

const stepsMax = 3_000_000
const lookEveryMs = 250
const compareEveryMs = 1500
const quietMs = 4000
/** Events that may pass before a poison strikes. */
const poisonPatience = 20
const turnWithinMs = 1500
/** Three tries, of which the last one comes after three minutes. */
const overdueWithinMs = 400_000
const crashWithinUs = { written: 1_500_000, adopted: 300_000 }
/** Refusals that a client earns without sending anything wrong: its connection is too slow. */
const tolerated =
  /no CONNECT in time|begun and not completed|does not take what is sent|a message was refused|session is not available|is not completed|are not read/
const internalDefects = /cannot take this|planted by the simulation/
/** What becomes of settling is told by `onFailed`, too. */
const ofSettling = /^segment not settled|^segment settled, its former file/

/** One run of one plan: a server with its disk, a network, clients, and what goes wrong. */
export class Simulation implements World {
  readonly plan: Plan
  readonly network: NetworkPlan
  readonly scheduler = new Scheduler()
  readonly model: Model
  readonly mqtt: MqttLedger
  readonly groups: GroupLedger
  readonly #hooks: Hooks
  readonly #disk: SimDisk
  readonly #hash = createHash("sha256")
  readonly #lines: Array<string> | undefined
  readonly #clients: Array<Client> = []
  readonly #random: Random
  readonly #logs: LogWatch
  #server: SimServer | undefined
  #journal: SimJournal | undefined
  #views: ViewWatch | undefined
  #promises = 0
  #lives = 0
  #connections = 0
  /** By the client's address, each connection's own. */
  readonly #links = new Map<string, Link>()
  #waitingSinceMs = 0
  #waitingAtSeq = 0
  /** The next compaction is to be interrupted. */
  #crashCompacting: Extract<Mishap, { kind: "crashCompacting" }> | undefined
  #isCompacting = false
  /** In this life of the server: a segment that stays as it is, and the logs that are in it. */
  #hasGivenUp = false
  /** The kind of which the next events do not fold, this many times. */
  #poison: { readonly actorKind: string; left: number; patience: number; readonly times: number } | undefined
  /** An actor that has thrown is being rebuilt: then everything folds. */
  #isReplaying = false
  /** A violation may leave something of the server under way, which is no part of the run. */
  #isOver = false
  isHealed = false
  mishaps = 0
  /** Segments, by what became of them. */
  readonly settled: Record<Work["kind"], number> = { settle: 0, compact: 0, rewrite: 0, merge: 0 }

  constructor(plan: Plan, hooks: Hooks = {}, keepsTrace = false) {
    this.plan = plan
    this.network = plan.network
    this.#hooks = hooks
    this.#lines = keepsTrace ? [] : undefined
    this.#random = this.random("world")
    this.model = new Model(
      definitions({ ...defaultLimits, ...plan.limits }),
      offsetExpiryOf(plan),
      () => this.scheduler.elapsedMs,
      this.violated
    )
    this.#disk = new SimDisk((commit) => {
      this.#hash.update(commit.frame)
      this.model.apply(commit)
    })
    this.#logs = new LogWatch(this.model, this.scheduler, this.random("looks"), this.violated)
    this.mqtt = new MqttLedger(this.model, this.violated)
    this.groups = new GroupLedger(this.model, this.violated)
  }

  // --- The world ---

  random(name: string): Random {
    return new Random(this.plan.seed, name)
  }

  readonly trace = (line: string): void => {
    if (this.#isOver) return
    this.#hash.update(line)
    this.#lines?.push(`${this.scheduler.elapsedMs.toFixed(3).padStart(11)} ${line}`)
  }

  readonly violated = (message: string): never => {
    throw new Violation(message)
  }

  alter(name: string, config: ReadonlyArray<readonly [string, string]>): void {
    const command = { _tag: "AlterStream", name, config }
    this.#server?.shard.offer({ to: catalogActor, command, cause: { origin: "simulation" } })
  }

  connect(protocol: "mqtt" | "kafka", name: string, events: ClientEvents): ClientLink {
    const random = this.random(`connection/${++this.#connections}/${name}`)
    const link = new Link(this.scheduler, random, this.network, {
      violated: this.violated,
      durableSeq: () => this.#disk.nextSeq
    })
    link.onClientClosed = events.onClosed
    link.toClient.attach({
      onBytes: events.onBytes,
      onEnd: () => {
        link.toServer.end()
        link.tellClient()
      }
    })
    const address = `10.0.${this.#connections >> 8}.${this.#connections & 255}`
    this.#links.set(address, link)
    const { latencyUsMin, latencyUsMax } = this.network
    this.scheduler.after(random.tail(latencyUsMin, latencyUsMax), () => {
      if (link.isBroken) return
      if (this.#server?.accept(link, protocol, address) !== true) link.break(0, 1)
    })
    this.#age(link, random)
    return {
      link,
      write: (bytes) => link.toServer.write(bytes),
      end: () => link.toServer.end(),
      reset: () => link.break(this.isHealed ? random.tail(0, 200) : random.tail(0, 20_000), 0)
    }
  }

  /** What becomes of a connection after a while. */
  #age(link: Link, random: Random): void {
    const { lifeMsMax } = this.network
    if (lifeMsMax === 0 || this.isHealed) return
    this.scheduler.after(random.between(1, lifeMsMax) * 1000, () => {
      if (this.isHealed || link.isBroken) return
      const roll = random.next()
      if (roll < 0.5) link.breakSoon(random.chance(0.2) ? 20_000 : 100)
      else if (roll < 0.7) link.toServer.stall(random.tail(50, 8000))
      else if (roll < 0.9) link.toClient.stall(random.tail(50, 8000))
      else link.toServer.end()
      this.#age(link, random)
    })
  }

  // --- The server ---

  #boot(): void {
    this.#views = undefined
    this.#lives++
    this.#poison = undefined
    this.#isReplaying = false
    this.#isCompacting = false
    this.#hasGivenUp = false
    this.#waitingSinceMs = this.scheduler.elapsedMs
    this.model.epochBefore = this.model.epoch
    this.trace(`server starts, ${this.#lives}`)
    const process = new Process(this.scheduler, this.random(`process/${this.#lives}`))
    const journal = new SimJournal(this.#disk, this.scheduler, this.random(`disk/${this.#lives}`), this.plan.disk, {
      violated: this.violated,
      trace: this.trace,
      promised: () => this.#promises++,
      appended: () => this.#views?.check()
    })
    this.#journal = journal
    this.#server = new SimServer({
      process,
      journal,
      limits: this.plan.limits,
      hooks: this.#hooks,
      definitions: (own) => this.#definitions(own),
      onDied: (why) => this.#died(why),
      onDefect: (where, defect) => this.#defect(where, defect),
      onRestart: () => (this.#isReplaying = false),
      settling: this.#settling(process),
      log: (level, message, fields) => {
        const text = `${message} ${JSON.stringify(fields)}`
        this.trace(`log ${level} ${text}`)
        if (text.includes("could not be stored")) this.mqtt.partlyRefused(String(fields["client"]))
        const isForeseen = internalDefects.test(text) || ofSettling.test(message)
        if (level === "error" && !isForeseen) this.#violatedSoon(`the server logs: ${text}`)
        // Whether a publication may be refused, its client knows best.
        const isOfConnection = /refused|closed/.test(message) && !/publications|closed segments/.test(message)
        if (level === "warn" && isOfConnection && !tolerated.test(text) && !this.#isHalfOpen(fields)) {
          this.#violatedSoon(`a client that keeps to the protocol is refused: ${text}`)
        }
      }
    })
    const { shard, broker } = this.#server
    const { limits } = broker
    const { actors } = shard
    this.#views = new ViewWatch(shard, limits, (message) => this.#violatedSoon(message))
    this.model.compare("recovered", actors.ids(), (id) => newestState(actors, id))
    this.#checkLogs()
  }

  /** A Kafka client's first request may not have come: it has left and the server has not heard of it, or the network stalls. */
  #isHalfOpen({ reason, peer }: Fields): boolean {
    if (reason !== "no request in time") return false
    return this.network.lifeMsMax > 0 || this.#links.get(String(peer).split(":")[0]!)!.isBroken
  }

  #settling(process: Process): SettlingOptions | undefined {
    const { isOn, lookEveryMs, freedBytesMin } = this.plan.settling
    if (!isOn) return undefined
    const clock = promising(process, () => this.#promises++)
    const { segmentBytes } = this.plan.disk
    const work = simWorker(this.#disk, clock, this.random(`settling/${this.#lives}`), () => this.isHealed)
    return {
      clock,
      work: (job) => {
        this.#isCompacting = job.compaction !== undefined
        if (job.compaction !== undefined) this.#compacts(job.compaction)
        return work(job)
      },
      at: (step) => {
        if (step === "adopted" && this.#isCompacting) this.#crashesCompacting("adopted")
        if (step === "switched") this.#keyedChanged()
      },
      rewriting: { segmentBytes, freedBytesMin, lookEveryMs },
      onSettled: (segment, { records, runs }, _durationMs, kind) => {
        this.settled[kind]++
        this.trace(`${kind} ${segment}: ${records} records in ${runs} runs`)
        this.#keyedChanged()
      },
      onFailed: (segment, detail, failure) => {
        this.#hasGivenUp ||= failure === "givenUp"
        this.trace(`not settled: ${segment} ${detail}`)
        if (!/ENOSPC|cancelled/.test(detail)) this.#violatedSoon(`${segment} is not settled: ${detail}`)
      }
    }
  }

  #compacts({ nowMs, logs }: CompactionJob): void {
    this.#logs.compactedMs.add(nowMs)
    for (const { logId, logEndOffset } of logs) this.model.keyed.get(logId)!.lasts.add(logEndOffset - 1)
    this.#crashesCompacting("written")
  }

  /** In a while, in which its worker writes, or its source's file is removed. */
  #crashesCompacting(when: "written" | "adopted"): void {
    const mishap = this.#crashCompacting
    if (mishap?.when !== when) return
    this.#crashCompacting = undefined
    const server = this.#server
    this.scheduler.after(this.#random.tail(0, crashWithinUs[when]), () => {
      if (this.isHealed || server !== this.#server) return
      this.trace(`crash in a compaction, ${when}`)
      this.#crash(mishap.downMs)
    })
  }

  /** Readers see other files than before. */
  #keyedChanged(): void {
    const server = this.#server
    this.scheduler.after(0, () => {
      if (server !== undefined && server === this.#server) this.#checkKeyed()
    })
  }

  #died(why: string): void {
    this.trace(`server dies: ${why}`)
    const mishap = this.plan.mishaps.find(({ kind }) => kind === "diskFails")
    this.scheduler.after(1, () => this.#crash(mishap?.kind === "diskFails" ? mishap.downMs : 100))
  }

  #defect(where: string, defect: unknown): void {
    const text = defect instanceof Error ? `${defect.name} ${defect.message} ${defect.stack}` : String(defect)
    this.trace(`defect ${where} ${defect instanceof Error ? defect.message : String(defect)}`)
    if (text.includes("planted by the simulation")) this.#isReplaying = true
    if (!internalDefects.test(text)) this.#violatedSoon(`a defect at ${where}: ${text}`)
  }

  /** From within the server, which would catch it. */
  #violatedSoon(message: string): void {
    this.scheduler.after(0, () => this.violated(message))
  }

  /** The actors, one of which may be made to stumble. */
  #definitions(own: ReadonlyArray<AnyDefinition>): ReadonlyArray<AnyDefinition> {
    const hooked = this.#hooks.definitions?.(own) ?? own
    return hooked.map((definition) => ({
      ...definition,
      evolve: (state: unknown, event: { readonly _tag: string }) => {
        const next = definition.evolve(state, event)
        // Behind its change: what it has of its state is of no use any more.
        if (this.#isPoisoned(definition.kind)) throw new Error("planted by the simulation")
        return next
      }
    }))
  }

  #isPoisoned(kind: string): boolean {
    const poison = this.#poison
    if (poison?.actorKind !== kind || this.#isReplaying) return false
    // Best while something is on its way to the disk, which a replay does not find there.
    if (poison.patience > 0 && this.#journal!.pendingCommits === 0) {
      poison.patience--
      return false
    }
    poison.left--
    if (poison.left === 0) this.#poison = undefined
    // The command is refused, though others of its turn were taken.
    if (poison.left === 0 && poison.times > 1) this.mqtt.isPartlyRefused = true
    return true
  }

  #crash(downMs: number): void {
    if (this.#server === undefined) return
    this.mishaps++
    this.#server.kill()
    this.#server = undefined
    this.#journal = undefined
    this.scheduler.after(downMs * 1000, () => this.#boot())
  }

  #mishap(mishap: Mishap): void {
    this.scheduler.after(mishap.atMs * 1000, () => {
      const server = this.#server
      if (server === undefined || this.isHealed) return
      this.mishaps++
      this.trace(`mishap ${mishap.kind}`)
      switch (mishap.kind) {
        case "crash":
          return this.#crash(mishap.downMs)
        case "crashCompacting":
          this.#crashCompacting = mishap
          return
        case "stop":
          return this.#stop(server, mishap.downMs)
        case "diskFails":
          server.journal.failsIn(mishap.inAppends)
          return
        case "diskLow":
          server.disk.isLow = true
          this.scheduler.after(mishap.lastsMs * 1000, () => (server.disk.isLow = false))
          return
        case "clockStep":
          this.scheduler.stepWall(mishap.byMs)
          return
        case "poison":
          this.#poison = {
            actorKind: mishap.actorKind,
            left: mishap.times,
            patience: poisonPatience,
            times: mishap.times
          }
          return
        case "kick": {
          const connections = [...server.mqtt.connections()].filter(({ clientId }) => clientId !== "")
          if (connections.length > 0) server.mqtt.kick(this.#random.pick(connections).clientId, "simulation")
        }
      }
    })
  }

  /** In order; a crash may come in between. */
  #stop(server: SimServer, downMs: number): void {
    this.#promises = Infinity
    void this.#stopped(server, downMs)
  }

  async #stopped(server: SimServer, downMs: number): Promise<void> {
    await server.stop()
    this.#promises = 0
    if (this.#server === server) this.#crash(downMs)
  }

  // --- The course of a run ---

  async run(): Promise<Outcome> {
    const restoreGlobals = seedGlobals(this.random("globals"), this.scheduler.microtask)
    const restoreHooks = this.#hooks.install?.()
    let violation: string | undefined
    try {
      await this.#course()
    } catch (error) {
      violation =
        error instanceof Violation ? error.message : `thrown: ${error instanceof Error ? error.stack : String(error)}`
      this.trace(`violated: ${violation.split("\n")[0]}`)
    } finally {
      this.#isOver = true
      restoreHooks?.()
      restoreGlobals()
    }
    return {
      seed: this.plan.seed,
      violation,
      simulatedMs: this.scheduler.elapsedMs,
      hash: this.#hash.digest("hex").slice(0, 16),
      lives: this.#lives,
      mishaps: this.mishaps,
      events: this.model.events,
      messages: sum(this.model.logs.values(), ({ ids }) => ids.length),
      steps: this.scheduler.steps,
      settled: this.settled.settle,
      rewritten: this.settled.rewrite + this.settled.merge,
      compacted: this.settled.compact,
      gone: sum(this.model.keyed.values(), ({ gone }) => gone),
      tombstonesGone: sum(this.model.keyed.values(), ({ tombstonesGone }) => tombstonesGone),
      trace: this.#lines ?? [],
      frames: this.#disk.frames
    }
  }

  async #course(): Promise<void> {
    this.#boot()
    this.#setUp()
    await this.#until(
      () => this.#isSetUp(),
      10_000,
      () => "the streams are not there"
    )
    for (const plan of this.plan.clients) this.#clients.push(makeClient(this, plan))
    for (const client of this.#clients) client.start()
    for (const mishap of this.plan.mishaps) this.#mishap(mishap)
    this.#compareRegularly()
    const startMs = this.scheduler.elapsedMs
    await this.#until(
      () => this.scheduler.elapsedMs > startMs + this.plan.faultsMs,
      Infinity,
      () => ""
    )
    this.isHealed = true
    this.trace("healed")
    await this.#until(
      () => this.#waitsFor() === undefined,
      this.plan.restMs,
      () => this.#waitsFor() ?? ""
    )
    this.trace("all are done")
    for (const client of this.#clients) client.leave()
    const doneMs = this.scheduler.elapsedMs
    // The server may have to find out by keep alive that a connection is gone.
    const isOver = (): boolean =>
      this.scheduler.elapsedMs > doneMs + quietMs && this.#isQuiet() && this.#server?.connections === 0
    await this.#until(isOver, 90_000, () => "connections or commits are left")
    // Retention goes on, so another commit may be under way by then.
    await this.#until(
      () => this.#isQuiet() && this.#overdue() === undefined,
      overdueWithinMs,
      () => this.#overdue() ?? "commits are left"
    )
    this.#checkEnd()
  }

  /** Steps until it is so; looks now and then, so that looking may cost something. */
  async #until(isSo: () => boolean, withinMs: number, why: () => string): Promise<void> {
    const endMs = this.scheduler.elapsedMs + withinMs
    let nextLookMs = 0
    for (;;) {
      if (this.scheduler.elapsedMs >= nextLookMs) {
        if (isSo()) return
        if (this.scheduler.elapsedMs > endMs) this.violated(`no progress: ${why()}`)
        nextLookMs = this.scheduler.elapsedMs + lookEveryMs
        this.#checkLimits()
      }
      if (!this.scheduler.step()) this.violated("nothing happens any more")
      if (this.scheduler.steps > stepsMax) this.violated(`no end after ${stepsMax} steps: ${why()}`)
      if (this.#promises > 0) await this.#settlePromises()
    }
  }

  /** Native promises, of retention and of an orderly stop, run to where they wait for the simulation again. */
  async #settlePromises(): Promise<void> {
    if (this.#promises !== Infinity) this.#promises = 0
    await new Promise((resolve) => setImmediate(resolve))
    this.scheduler.drain()
  }

  #setUp(): void {
    const { shard } = this.#server!
    const cause = { origin: "simulation" }
    for (const { name, filters, partitions, config, key = "clientid" } of this.plan.streams) {
      const topicId = this.random(name).bytes(16).toString("base64url")
      const command = {
        _tag: "CreateStream",
        name,
        topicId,
        filters,
        partitions,
        key,
        config,
        validateOnly: false
      }
      shard.offer({ to: catalogActor, command, cause })
      if (name !== "orders") continue
      // So that the group is never forgotten, and its generations go on.
      const offsets = [{ topicId, stream: name, partition: 0, offset: 0, leaderEpoch: -1, metadata: "" }]
      const commit = { _tag: "CommitOffsets", generation: -1, memberId: "", groupInstanceId: null, offsets }
      shard.offer({ to: "group/g", command: commit, cause })
    }
  }

  #isSetUp(): boolean {
    return this.plan.streams.every(({ name }) => this.model.streams.has(name))
  }

  #waitsFor(): string | undefined {
    if (this.#server === undefined) return "the server is down"
    for (const client of this.#clients) {
      const reason = client.waitsFor()
      if (reason !== undefined) return reason
    }
    const clientId = this.model.clientWithPendingWill()
    return clientId === undefined ? undefined : `a will of ${clientId} is not published`
  }

  /** A log that could be compacted and has waited longer than max.compaction.lag.ms. */
  #overdue(): string | undefined {
    const { logs } = this.#server!.shard
    const { nowMs } = this.scheduler
    if (this.#hasGivenUp) return undefined
    for (const { name, logIds, config } of this.model.streams.values()) {
      const { isCompacted, minCompactionLagMs, maxCompactionLagMs } = effectiveConfig(new Map(config))
      for (const logId of isCompacted ? logIds : []) {
        const { index } = logs.log(logId)
        for (let i = 0; i < index.count && index.at(i).place === "run"; i++) {
          const run = index.at(i)
          if (run.isCompacted) continue
          if (run.maxTimestampMs > nowMs - minCompactionLagMs) break
          if (nowMs - run.firstTimestampMs > maxCompactionLagMs)
            return `${name} is not compacted from ${run.baseOffset} on`
        }
      }
    }
    return undefined
  }

  // --- Invariants ---

  /** All that was decided is durable: the states in memory are those of the journal. */
  #isQuiet(): boolean {
    const server = this.#server
    if (server === undefined || this.#journal === undefined) return false
    const { shard } = server
    return shard.nextSeq === this.#disk.nextSeq && this.#journal.pendingCommits === 0 && shard.waiting === 0
  }

  #compareRegularly(): void {
    this.scheduler.after(this.#random.between(100, compareEveryMs) * 1000, () => {
      if (this.#isQuiet() && !this.#isRestarting()) {
        this.#compare("live")
        this.#logs.checkTransactions(this.#server!.shard.logs)
      }
      if (this.#server !== undefined) this.#checkKeyed()
      this.#compareRegularly()
    })
  }

  #isRestarting(): boolean {
    for (const { health } of this.#server!.shard.actors.live()) if (health !== "running") return true
    return false
  }

  #compare(what: string): void {
    const { actors } = this.#server!.shard
    this.model.compare(what, actors.ids(), (id) => newestState(actors, id))
    for (const difference of accountDifferences(this.#server!)) this.violated(`${what}: ${difference}`)
  }

  #checkLimits(): void {
    const server = this.#server
    if (server === undefined || this.#journal === undefined) return
    const { shard, broker } = server
    const { limits } = broker
    const { pendingCommits, pendingBytes } = this.#journal
    if (pendingCommits > limits.commitsInFlightMax) this.violated(`${pendingCommits} commits are in flight`)
    if (pendingBytes > limits.commitInFlightBytesMax + 2 * 1024 * 1024)
      this.violated(`${pendingBytes} bytes are in flight`)
    // What a connection has read already is taken all the same, 20 publishes or 5 requests each.
    const slack = 200 + server.connections * 60
    if (shard.waiting > limits.inboxCommandsMax + slack) this.violated(`${shard.waiting} commands wait in the inbox`)
    const { count } = broker.transactions
    if (count > limits.transactionalIdsMax) this.violated(`there are ${count} transactional ids`)
    this.#checkTurns()
    this.#views!.check()
    if (shard.failedActors.length > 0) this.violated(`${shard.failedActors.join()} is given up`)
    for (const id of shard.actors.ofKind(SessionKind)) this.#checkSession(id)
  }

  /** Whoever waits gets his turn, unless the disk is busy. */
  #checkTurns(): void {
    const { shard, settler } = this.#server!
    const isBusy = this.#journal!.pendingCommits > 0 || settler?.isHolding === true
    // Others may wait than at the last look.
    const hadTurn = shard.nextSeq !== this.#waitingAtSeq
    this.#waitingAtSeq = shard.nextSeq
    const isStuck = shard.waiting > 0 && !isBusy && !hadTurn
    const nowMs = this.scheduler.elapsedMs
    if (!isStuck) this.#waitingSinceMs = nowMs
    else if (nowMs - this.#waitingSinceMs > turnWithinMs) this.violated("commands wait, and no turn comes")
  }

  #checkSession(id: string): void {
    const { shard, broker } = this.#server!
    const { limits } = broker
    const state = newestState<{ queue: Map<number, unknown> }>(shard.actors, id)
    if (state === undefined) return
    if (state.queue.size > limits.offlineQueueMessagesMax) this.violated(`${id} has a queue of ${state.queue.size}`)
  }

  #checkEnd(): void {
    this.#compare("at the end")
    this.#checkReplay()
    this.#checkLogs()
    this.mqtt.check()
    for (const client of this.#clients) {
      if (client instanceof Producer || client instanceof Member || client instanceof Transactor) client.check()
    }
    this.#checkLeftovers()
  }

  #checkLogs(): void {
    this.#logs.check(this.#server!.shard.logs, this.#journal!)
  }

  #checkKeyed(): void {
    this.#logs.checkKeyed(this.#server!.shard.logs, this.#journal!)
  }

  /** The product's own replay, from its snapshot and from the start: no mismatch of hashes, the same states. */
  #checkReplay(): void {
    const own =
      this.#hooks.definitions?.(definitions(this.#server!.broker.limits)) ?? definitions(this.#server!.broker.limits)
    for (const fromStart of [false, true]) {
      const { states } = new Replay(own, {
        fromStart,
        onMismatch: ({ actor, seq }) => this.violated(`a replay of ${actor} differs from its hash at seq ${seq}`)
      }).run(this.#journal!)
      this.model.compare(fromStart ? "replayed from the start" : "replayed", states.keys(), (id) => states.get(id))
    }
  }

  /** Nothing is left of streams that are gone. */
  #checkLeftovers(): void {
    const { shard, broker } = this.#server!
    const { directory } = broker
    for (const { id } of shard.logs.logs()) {
      if (id !== sessionLogId && directory.byLogId(id) === undefined)
        this.violated(`log ${id} is left of a deleted stream`)
    }
    for (const id of shard.actors.ofKind(PartitionKind)) {
      const state = newestState<{ logId: number }>(shard.actors, id)!
      if (
        shard.actors.definition(id).isEmpty(state) ||
        state.logId === sessionLogId ||
        directory.byLogId(state.logId) !== undefined
      )
        continue
      this.violated(`${partitionId(state.logId)} is left of a deleted stream`)
    }
    const topicIds = new Set(Array.from(this.model.streams.values(), ({ topicId }) => topicId))
    for (const [name, group] of this.model.groups) {
      group.checkOffsets(this.scheduler.elapsedMs)
      for (const key of group.offsets.keys()) {
        if (!topicIds.has(key.slice(0, key.indexOf("/"))))
          this.violated(`group ${name} keeps an offset of ${key}, which is gone`)
      }
    }
  }
}
