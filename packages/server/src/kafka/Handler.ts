import type { Operation, Resource } from "@logbrook/core/access/Access"
import { encodeWholeResponse, type RequestHeader } from "@logbrook/protocols/kafka/Header"
import type { AnyApi, Api } from "@logbrook/protocols/kafka/Schema"
import { Reader } from "@logbrook/protocols/kafka/Wire"
import { Later, type Answer } from "./Answer.ts"
import type { Broker } from "../Broker.ts"
import type { Access, FullAccess, Needs } from "./Access.ts"
import type { Asker } from "./Asker.ts"
import type { KafkaNode } from "./KafkaNode.ts"
import type { LongPoll } from "./LongPoll.ts"
import type { SentBatches } from "./SentBatches.ts"
import { replyOf, type Reply, type ReplyOptions } from "./Reply.ts"

export type SecurityProtocol = "PLAINTEXT" | "SSL"

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** An API as ApiVersions lists it. */
export interface ListedApi {
  readonly key: number
  readonly name: string
  readonly min: number
  readonly max: number
}

/** The part of the node that handlers have: streams and groups are behind `Access`. */
export interface HandlerNode extends Omit<KafkaNode, "broker"> {
  readonly broker: Omit<Broker, "directory" | "authorizer">
}

/** A request as its handler sees it, besides its body. */
export interface RequestContext extends Asker {
  readonly node: HandlerNode
  /** Raised with every change of the streams. */
  readonly streamsVersion: number
  /** The operations that the client may do on a resource. */
  readonly permitted: (resource: Resource) => ReadonlyArray<Operation>
  /** Empty for a client that does not tell. */
  readonly clientId: string
  /** The client's address. */
  readonly clientHost: string
  /** Where this client can reach the server again. */
  readonly advertised: HostPort
  /** Kafka's name for what its listener speaks. */
  readonly securityProtocol: SecurityProtocol
  /** The APIs that ApiVersions lists. */
  readonly listed: ReadonlyArray<ListedApi>
  /** Whether the client is known to decompress zstd. */
  readonly readsZstd: boolean
  /** The client has told what software it is (KIP-511). */
  readonly identified: (softwareName: string) => void
  /** Counts this connection's fetches, so that each begins with another partition. */
  readonly nextFetch: () => number
  /** The batches of this connection that are not answered, or were refused for now. */
  readonly sentBatches: SentBatches
  /** Bytes that a response may have by what all connections have not read yet. */
  readonly responseRoomBytes: () => number
  /**
   * Bytes of the request that outlive the handler's call: everything else of it is written over then.
   * `isOnly`: nothing else of this request is kept.
   */
  readonly keep: (bytes: Uint8Array, isOnly: boolean) => Uint8Array
  /** Until what is returned is called the bytes of this request stay, and nothing behind it begins, which must not overtake what it does later. */
  readonly holdBack: () => () => void
  /** An answer that waits for something to happen. It is given up when the connection ends. */
  readonly waitFor: <T>(poll: LongPoll<T>) => Later<T>
  /** Runs what may throw outside of a handler's own call: a defect closes this connection and nothing else. */
  readonly guarded: (task: () => void) => void
}

/** Gives a connection a response to send, and the first error in it, for the metrics. */
export type Send = (chunks: ReadonlyArray<Uint8Array>, errorCode: number, options: ReplyOptions) => void

/** The request as it was received. */
export interface Received extends Pick<RequestHeader, "apiVersion" | "bodyOffset" | "correlationId"> {
  readonly bytes: Uint8Array
}

/** A request whose handler has these needs. */
export type ContextOf<N extends Needs> = RequestContext & Access<N>

/** How the server serves an API. */
export interface Serving<Request, Response, N extends Needs> {
  /** The versions that are answered. */
  readonly serves: readonly [min: number, max: number]
  /** The version from which ApiVersions lists, where that is lower than what is served: some clients need it so. */
  readonly listedFrom?: number
  readonly needs: N
  /** Returns the answer: a response, a `Reply` with more to it, or either of them later. */
  readonly handle: (context: ContextOf<N>, request: Request, version: number) => Answer<Response | Reply<Response>>
}

/** An API of the server, whatever its types. */
export interface Handler {
  readonly api: AnyApi
  readonly serves: readonly [min: number, max: number]
  readonly listedFrom: number
  readonly needs: Needs
  /**
   * Decodes the body and answers, now or later; `send` is called once. Returned is what it waits for, if it is not answered
   * yet. Throws `WireError`. Bytes behind the body are counted and ignored, as Kafka ignores them: librdkafka from 2.1 on
   * writes a null array of Metadata three bytes too long.
   */
  readonly run: (
    context: RequestContext & FullAccess,
    received: Received,
    send: Send
  ) => Pick<Later<unknown>, "giveUp" | "hurry"> | undefined
}

const silence: ReadonlyArray<Uint8Array> = []

/** Where the types of an API's request and response end: what is read is handed to `handle`, what that gives is written. */
export const handler = <Req, ReqIn, Res, ResIn extends object, const N extends Needs>(
  api: Api<Req, ReqIn, Res, ResIn>,
  { serves, listedFrom = serves[0], needs, handle }: Serving<Req, NoInfer<ResIn>, N>
): Handler => ({
  api,
  serves,
  listedFrom,
  needs,
  run: (context, { bytes, bodyOffset, apiVersion, correlationId }, send) => {
    const body = new Reader(bytes, bodyOffset)
    const request = api.readRequest(body, apiVersion)
    if (body.remaining > 0) context.node.metrics.ignored(api.name, body.remaining)
    const respond = (given: ResIn | Reply<ResIn>): void =>
      context.guarded(() => {
        const { response, options } = replyOf(given)
        const chunks =
          options.isSilent === true ? silence : encodeWholeResponse(api, apiVersion, correlationId, response)
        send(chunks, api.firstError(response), options)
      })
    const answer = handle(context, request, apiVersion)
    if (answer instanceof Later) {
      answer.whenGiven(respond)
      return answer
    }
    respond(answer)
    return undefined
  }
})
