import { Authorizer } from "@logbrook/core/access/Authorizer"
import type { SessionCommand, Subscription } from "@logbrook/actors/session/SessionProtocol"
import { RecordsBuilder } from "@logbrook/core/Record"
import { Restarts } from "@logbrook/core/shard/Restarts"
import type { Holder } from "@logbrook/core/memory/MemoryAccount"
import { MemoryAccount } from "@logbrook/core/memory/MemoryAccount"
import { ActorTable, type Live } from "@logbrook/core/shard/ActorTable"
import { CommandList } from "@logbrook/core/shard/CommandList"
import { Shard } from "@logbrook/core/shard/Shard"
import type { Take } from "@logbrook/core/BufferPool"
import type { Log } from "@logbrook/core/storage/Log"
import { LogStore } from "@logbrook/core/storage/LogStore"
import { Tail } from "@logbrook/core/storage/Tail"
import { type BrokerConnection, MqttBroker } from "@logbrook/server/mqtt/MqttBroker"
import { type FoundPartition, SessionPartition } from "@logbrook/server/kafka/FetchSession"
import { MqttConnection } from "@logbrook/server/mqtt/MqttConnection"
import { Outgoing } from "@logbrook/server/mqtt/Outgoing"
import { Publisher } from "@logbrook/server/mqtt/Publisher"
import type { PendingPublication } from "@logbrook/server/mqtt/Publisher"
import { SessionDirectory, type SessionView } from "@logbrook/server/mqtt/SessionDirectory"
import type { Commit } from "@logbrook/core/journal/Journal"
import type { AckReceiver, Ask } from "@logbrook/core/shard/Intake"
import { Admission } from "@logbrook/server/net/ConnectionGate"
import { Refusals } from "@logbrook/server/net/Refusals"
import * as Exit from "effect/Exit"
import { inMethod, type PlantedFault } from "./Hooks.ts"

type Reply = (exit: Exit.Exit<unknown, unknown>) => void

type View = SessionView<BrokerConnection>

const countsOnceDurable: PlantedFault = {
  name: "a subscription counts once it is durable",
  plant: () => ({
    install: () => {
      const directory: Pick<SessionDirectory<BrokerConnection>, "subscribes" | "answered"> = SessionDirectory.prototype
      const { subscribes, answered } = directory
      const waiting = new Map<View, Array<Subscription>>()
      directory.subscribes = function (this: SessionDirectory<BrokerConnection>, view, subscriptions) {
        subscribes.call(this, view, subscriptions)
        for (const { filter } of subscriptions) this.subscriptions.remove(view.clientId, filter)
        waiting.set(view, [...(waiting.get(view) ?? []), ...subscriptions])
      }
      directory.answered = function (this: SessionDirectory<BrokerConnection>, view, filters, isRefused) {
        answered.call(this, view, filters, isRefused)
        for (const each of waiting.get(view)?.splice(0) ?? []) this.subscriptions.add(view.clientId, view, each)
      }
      return () => void Object.assign(directory, { subscribes, answered })
    }
  })
}

/** In the runtime and the protocol shells. */
export const shellFaults: ReadonlyArray<PlantedFault> = [
  inMethod("a rebuilt actor lacks what is not durable yet", Restarts.prototype, "restart", (original) => {
    return (self: Restarts, live: Live, defect: unknown, _undurable: unknown, isAgain: boolean) =>
      original(self, live, defect, [], isAgain)
  }),
  inMethod("an actor that has thrown goes on as it is", Restarts.prototype, "restart", () => () => undefined),
  inMethod("an account of memory never goes down", MemoryAccount.prototype, "add", (original) => {
    return (self: MemoryAccount, holder: Holder, bytes: number) =>
      bytes < 0 ? undefined : original(self, holder, bytes)
  }),
  inMethod("one state in five moves on without being weighed", ActorTable.prototype, "weigh", (original) => {
    let count = 0
    return (self: ActorTable, live: Live) => (++count % 5 === 0 ? undefined : original(self, live))
  }),
  inMethod("a connection's memory is not given back", Admission.prototype, "add", (original) => {
    return (self: Admission, holder: never, bytes: number) => (bytes < 0 ? undefined : original(self, holder, bytes))
  }),
  inMethod("a long poll is not woken", LogStore.prototype, "wake", () => () => undefined),
  inMethod("a message is delivered before it is durable", Publisher.prototype, "wait", (original) => {
    return (self: Publisher, pending: PendingPublication, isJournaled: boolean) => {
      if (pending.message !== undefined) self.answer(pending)
      else original(self, pending, isJournaled)
    }
  }),
  inMethod("acknowledgements do not wait for the commit", Shard.prototype, "ack", () => {
    return (_self: Shard, receiver: AckReceiver, token: number, _run: undefined, index: number) => {
      queueMicrotask(() => receiver.acked(token, undefined, index))
    }
  }),
  inMethod("every fifth acknowledgement overtakes", Shard.prototype, "ack", (original) => {
    let count = 0
    return (self: Shard, receiver: AckReceiver, token: number, batch: never, index: number) => {
      const isLate = ++count % 5 === 0
      const late: AckReceiver = {
        acked: (...args) => original(self, { acked: () => receiver.acked(...args) }, 0, undefined, 0)
      }
      original(self, isLate ? late : receiver, token, batch, index)
    }
  }),
  inMethod("an acknowledgement is lost", Shard.prototype, "ack", (original) => {
    let count = 0
    return (self: Shard, ...args: ReadonlyArray<never>) => (++count % 30 === 0 ? undefined : original(self, ...args))
  }),
  inMethod("replies of one turn come in the wrong order", Shard.prototype, "offer", (original) => {
    let held: (() => void) | undefined
    return (self: Shard, ask: Ask) => {
      const { reply } = ask
      if (reply === undefined || !ask.to.startsWith("partition/")) return original(self, ask)
      const swapped: Ask["reply"] = (exit) => {
        const before = held
        held = before === undefined ? () => reply(exit) : undefined
        if (before === undefined) return
        reply(exit)
        before()
      }
      return original(self, { ...ask, reply: swapped })
    }
  }),
  inMethod("a list is half applied, and said to be taken", Shard.prototype, "askAll", (original) => {
    return (self: Shard, list: CommandList, ...rest: ReadonlyArray<never>) => {
      const half = new CommandList()
      half.entries.push(...list.entries.slice(0, Math.ceil(list.entries.length / 2)))
      return original(self, half, ...rest)
    }
  }),
  inMethod("what is handed on to another member is not queued for it", CommandList.prototype, "add", (original) => {
    return (self: CommandList, to: unknown, command: SessionCommand, ...rest: ReadonlyArray<never>) =>
      command._tag === "Enqueue" && command.isWhole === true ? 0 : original(self, to, command, ...rest)
  }),
  inMethod("a clean member takes its shared messages along", Outgoing.prototype, "giveUpShared", () => {
    return () => ({ messages: [], lost: 0 })
  }),
  inMethod("a command is lost when the shard is full", Shard.prototype, "offer", (original) => {
    return (self: Shard, ask: Ask) => (self.hasRoom ? original(self, ask) : false)
  }),
  inMethod("who waits for room is forgotten", Shard.prototype, "whenRoom", () => () => undefined),
  inMethod("PUBREL is answered and not kept", MqttBroker.prototype, "offerToSession", (original) => {
    return (self: MqttBroker, clientId: string, command: SessionCommand, origin: string, reply: Reply) => {
      if (command._tag !== "ReleaseQos2") original(self, clientId, command, origin, reply)
      else queueMicrotask(() => reply(Exit.void))
    }
  }),
  inMethod("what a full queue has dropped is counted twice", MqttBroker.prototype, "offerToSession", (original) => {
    return (self: MqttBroker, clientId: string, command: SessionCommand, origin: string, ...rest: Array<never>) => {
      original(self, clientId, command, origin, ...rest)
      if (command._tag === "CountDropped") original(self, clientId, command, origin, () => undefined)
    }
  }),
  inMethod("each publication that is refused is an event", Refusals.prototype, "add", (original) => {
    return (self: Refusals, refusal: never) => {
      original(self, refusal)
      self.flush()
    }
  }),
  countsOnceDurable,
  inMethod("bytes that were written are used again", MqttConnection.prototype, "pushOut", (original) => {
    let last: Uint8Array | undefined
    return (self: MqttConnection, bytes: Uint8Array) => {
      last?.fill(0)
      last = bytes
      original(self, bytes)
    }
  }),
  inMethod("recent commits are given under another's seq", Tail.prototype, "get", (original) => {
    return (self: Tail, seq: number) => {
      const found = original(self, seq) as Commit | undefined
      return found === undefined ? undefined : (original(self, seq - 1) ?? found)
    }
  }),
  inMethod("records are merged at wrong offsets", RecordsBuilder.prototype, "appendRecords", (original) => {
    return (self: RecordsBuilder, bytes: Uint8Array, count: number, offsetDelta: number, timestampDelta: number) =>
      original(self, bytes, count, offsetDelta + (offsetDelta > 0 ? 1 : 0), timestampDelta)
  }),
  inMethod("everybody is given what the server has compressed", LogStore.prototype, "read", (original) => {
    return (self: LogStore, log: Log, offset: number, bytesMax: number, take?: Take) =>
      original(self, log, offset, bytesMax, take, true)
  }),
  inMethod("a PUBACK of the client is not kept", Outgoing.prototype, "flush", () => () => undefined),
  inMethod("a takeover leaves the old connection open", MqttConnection.prototype, "takenOver", () => () => undefined),
  inMethod(
    "an operator's kick leaves the connection open until it is durable",
    MqttConnection.prototype,
    "kicked",
    () => {
      return () => undefined
    }
  ),
  inMethod("a view is ahead of its commit", ActorTable.prototype, "moved", () => () => undefined),
  inMethod("a view shows a commit with the one before it", ActorTable.prototype, "completed", (original) => {
    return (self: ActorTable, actor: string, state: unknown) => {
      original(self, actor, state)
      original(self, actor, state)
    }
  }),
  inMethod("a fetch session tells again of what has not changed", SessionPartition.prototype, "tells", (original) => {
    return (self: SessionPartition, found: FoundPartition) => {
      original(self, found)
      return true
    }
  }),
  inMethod("a fetch session leaves out what has changed", SessionPartition.prototype, "tells", (original) => {
    return (self: SessionPartition, found: FoundPartition) =>
      original(self, found) === true && (found.records.length > 0 || found.errorCode !== 0)
  }),
  inMethod("a permission is not asked", Authorizer.prototype, "authorize", () => () => undefined),
  inMethod("what is delivered live is delivered twice", Publisher.prototype, "deliver", (original) => {
    return (self: Publisher, ...args: ReadonlyArray<never>) => {
      original(self, ...args)
      original(self, ...args)
    }
  })
]
