import * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { systemClock } from "@logbrook/core/Clock"
import type { Journal } from "@logbrook/core/journal/Journal"
import { noHeaders } from "@logbrook/core/Record"
import { defaultLimits } from "@logbrook/core/Limits"
import type { Shard } from "@logbrook/core/shard/Shard"
import { definitions, type Broker } from "../../src/Broker.ts"
import { Broker as BrokerService, layerBroker, layerRecovered } from "../../src/composition.ts"
import { DiskGuard } from "../../src/DiskGuard.ts"
import { built, layerTest, type TestParts } from "../support/parts.ts"

/** A server's broker over a journal, whose shard is asked directly. */
export class ShardHarness {
  readonly disk = new DiskGuard(".", defaultLimits)
  readonly broker: Broker
  readonly shard: Shard

  constructor(journal: Journal, replaced: Pick<TestParts, "definitions" | "faults"> = {}) {
    const limits = { ...defaultLimits, commitPacingMs: 0 }
    const parts = layerTest({ definitions: definitions(defaultLimits), ...replaced, journal, limits, disk: this.disk })
    this.broker = Context.get(
      built(layerBroker.pipe(Layer.provide(layerRecovered), Layer.provide(parts))).context,
      BrokerService
    )
    this.shard = this.broker.shards.all[0]!
    this.shard.start((defect) => {
      throw defect
    })
  }

  /** Resolves once durable. */
  ask(to: string, command: object, origin = "test"): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.shard.offer({
        to,
        command,
        cause: { origin },
        reply: (exit) => (Exit.isSuccess(exit) ? resolve(exit.value) : reject(new Error(String(exit.cause))))
      })
    })
  }

  createStream(
    name: string,
    filters: ReadonlyArray<string>,
    partitions: number,
    config: ReadonlyArray<readonly [name: string, value: string]> = []
  ): Promise<unknown> {
    const topicId = Buffer.from(name.padEnd(16, "-").slice(0, 16)).toString("base64url")
    const command = { _tag: "CreateStream", name, topicId, filters, partitions, key: "none", config }
    return this.ask("catalog/0", { ...command, validateOnly: false }, "http POST /streams")
  }

  append(logId: number, text: string): Promise<unknown> {
    const batch = this.shard.partitionBatch(logId, "mqtt dev1 PUBLISH")
    batch.records.append(null, Buffer.from(text), noHeaders, systemClock.nowMs(), [])
    this.shard.recordsAdded(batch.records.byteLength)
    return this.shard.completed()
  }

  commitOffset(group: string, stream: string, partition: number, offset: number): Promise<unknown> {
    const topicId = Buffer.from(stream.padEnd(16, "-").slice(0, 16)).toString("base64url")
    const offsets = [{ topicId, stream, partition, offset, leaderEpoch: -1, metadata: "" }]
    const command = { _tag: "CommitOffsets", generation: -1, memberId: "", groupInstanceId: null, offsets }
    return this.ask(`group/${group}`, command, "kafka dashboard OffsetCommit")
  }

  /** A member joins a consumer group, or joins again; resolves once the group's join phase is over. */
  join(group: string, memberId: string, isNew = true): Promise<unknown> {
    return this.ask(
      `group/${group}`,
      {
        _tag: "JoinMember",
        memberId: isNew ? "" : memberId,
        proposedMemberId: memberId,
        groupInstanceId: null,
        clientId: memberId.slice(0, memberId.indexOf("-")),
        clientHost: "/127.0.0.1",
        sessionTimeoutMs: 30_000,
        rebalanceTimeoutMs: 60_000,
        protocolType: "consumer",
        protocols: [{ name: "range", metadata: Buffer.alloc(8) }],
        requireKnownMemberId: false,
        skipAssignmentSupported: false,
        reason: null
      },
      `kafka ${memberId} JoinGroup`
    )
  }

  /** The leader's sync, with partitions of one stream for each member. */
  sync(group: string, generation: number, memberId: string, stream: string, assigned: ReadonlyMap<string, number[]>) {
    return this.ask(
      `group/${group}`,
      {
        _tag: "SyncMember",
        generation,
        memberId,
        groupInstanceId: null,
        protocolType: "consumer",
        protocolName: "range",
        assignments: Array.from(assigned, ([member, partitions]) => ({
          memberId: member,
          assignment: assignmentOf(stream, partitions)
        }))
      },
      `kafka ${memberId} SyncGroup`
    )
  }

  leave(group: string, memberId: string): Promise<unknown> {
    const members = [{ memberId, groupInstanceId: null, reason: "the consumer is being closed" }]
    return this.ask(`group/${group}`, { _tag: "LeaveMembers", members }, `kafka ${memberId} LeaveGroup`)
  }
}

/** As the consumer protocol encodes it, version 0. */
const assignmentOf = (stream: string, partitions: ReadonlyArray<number>): Buffer => {
  const bytes = Buffer.alloc(2 + 4 + 2 + stream.length + 4 + 4 * partitions.length + 4)
  let at = bytes.writeInt32BE(1, 2)
  at = bytes.writeInt16BE(stream.length, at)
  at += bytes.write(stream, at)
  at = bytes.writeInt32BE(partitions.length, at)
  for (const partition of partitions) at = bytes.writeInt32BE(partition, at)
  return bytes
}
