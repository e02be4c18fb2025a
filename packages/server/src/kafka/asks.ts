import {
  catalogId,
  type CatalogCommand,
  type CatalogRefused,
  type CatalogReply
} from "@logbrook/actors/catalog/CatalogProtocol"
import type { GroupRefused, ReplyTo, Request } from "@logbrook/actors/group/GroupProtocol"
import type { Appended, PartitionCommand, PartitionRefused } from "@logbrook/actors/partition/Partition"
import { actorId } from "@logbrook/core/actor/Definition"
import { partitionId } from "@logbrook/core/actor/LogEvents"
import type { Cause } from "@logbrook/core/journal/Frame"
import type { Ask } from "@logbrook/core/shard/Intake"
import type { Exit } from "effect/Exit"

// The shard's replies have no types: here each command meets the one that its actor answers with.

/** Who asks actors for something: a request. */
export interface Asker {
  /** What the journal says of whatever this request leads to. */
  readonly cause: Cause
  /** Hands a command to the shard, with `bytes` of payload; a full shard pauses the connection. */
  readonly offer: (ask: Ask, bytes?: number) => void
}

type Settle<Reply, Failure> = (exit: Exit<Reply, Failure>) => void
type Untyped = Settle<unknown, unknown>

interface CatalogReplies {
  readonly CreateStream: Extract<CatalogReply, { readonly _tag: "Stream" }>
  readonly AlterStream: Extract<CatalogReply, { readonly _tag: "Stream" }>
  readonly DeleteStream: Extract<CatalogReply, { readonly _tag: "Deleted" }>
  readonly AllocateProducerIds: Extract<CatalogReply, { readonly _tag: "ProducerIds" }>
}

export const askCatalog = <Command extends CatalogCommand>(
  context: Asker,
  command: Command,
  settle: Settle<CatalogReplies[Command["_tag"]], CatalogRefused>
): void => context.offer({ to: catalogId, command, cause: context.cause, reply: settle as Untyped })

export const askGroup = <Command extends Request>(
  context: Asker,
  groupId: string,
  command: Command,
  settle: Settle<ReplyTo<Command>, GroupRefused>
): void => context.offer({ to: actorId("group", groupId), command, cause: context.cause, reply: settle as Untyped })

type AppendBatch = Extract<PartitionCommand, { readonly _tag: "AppendBatch" }>

/** What is asked and told in the turn that decides: of batches behind each other the next one must know. */
interface InTurn {
  readonly isAhead: () => boolean
  readonly refused: (exit: Exit<Appended, PartitionRefused>) => void
}

export const appendBatch = (
  context: Asker,
  logId: number,
  command: Omit<AppendBatch, "isAhead">,
  { isAhead, refused }: InTurn,
  settle: Settle<Appended, PartitionRefused>
): void => {
  const late = (): AppendBatch => ({ ...command, isAhead: isAhead() })
  const { cause } = context
  context.offer(
    { to: partitionId(logId), late, cause, refused: refused as Untyped, reply: settle as Untyped },
    command.bytes.length
  )
}

/** -1: to the end. */
export const moveLogStart = (
  context: Asker,
  logId: number,
  offset: number,
  settle: Settle<{ readonly logStartOffset: number }, PartitionRefused>
): void =>
  context.offer({
    to: partitionId(logId),
    command: { _tag: "MoveLogStart", offset, reason: "DeleteRecords" } satisfies PartitionCommand,
    cause: context.cause,
    reply: settle as Untyped
  })
