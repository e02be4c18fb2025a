import type { Exit } from "effect/Exit"

export interface Tagged {
  readonly _tag: string
}

/** The commands and answers of actors of one kind, as types. */
export interface Protocol {
  readonly command: Tagged
  /** The reply to each command, by its tag. */
  readonly replies: object
  readonly failure: unknown
  /** The events that are journaled. */
  readonly event: Tagged
  /** For the shell outside the actors, such as "close that connection". */
  readonly notice: Tagged
}

/**
 * A kind of actor:
 *
 *     kind      declares its protocol once
 *     address   `group/orders`: carries the kind in its type, and is the actor's id at run time
 *     onAnswer  is told of the command's own reply, or of one of the kind's failures
 */
export interface Kind<Name extends string, P extends Protocol> {
  readonly name: Name
  /** For types only: never there. */
  readonly "~protocol"?: P
}

type Replies<P extends Protocol> = { readonly [Tag in P["command"]["_tag"]]: unknown }

/** Declares a kind. A command without a reply type does not compile. */
export const kind =
  <P extends Protocol & { readonly replies: Replies<P> }>() =>
  <const Name extends string>(name: Name): Kind<Name, P> => ({ name })

// oxlint-disable-next-line typescript/no-explicit-any -- the one place where kinds of all protocols meet
type AnyProtocol = any

export type AnyKind = Kind<string, AnyProtocol>

type ProtocolOf<K> = AnyKind extends K ? AnyProtocol : K extends Kind<string, infer P> ? P : never

export type CommandOf<K> = ProtocolOf<K>["command"]
export type FailureOf<K> = ProtocolOf<K>["failure"]
export type EventOf<K> = ProtocolOf<K>["event"]
export type NoticeOf<K> = ProtocolOf<K>["notice"]
/** The reply to one command; without `C`, to any of them. */
export type ReplyOf<K, C extends Tagged = CommandOf<K>> = ProtocolOf<K>["replies"][C["_tag"] &
  keyof ProtocolOf<K>["replies"]]

/** An actor's id, whose type remembers whom it addresses. */
export type Address<K extends AnyKind> = string & { readonly "~kind": K }

export const address = <K extends AnyKind>(of: K, name: string | number): Address<K> =>
  `${of.name}/${name}` as Address<K>

/** Tells a caller the answer, once, after what was decided is durable. A defect, and an actor that cannot answer, is a die. */
export type OnAnswer<K extends AnyKind, C extends Tagged = CommandOf<K>> = (
  exit: Exit<ReplyOf<K, C>, FailureOf<K>>
) => void

/** A command to another actor, as a decision's signal. */
export interface Tell {
  readonly _tag: "Tell"
  readonly to: Address<AnyKind>
  readonly command: Tagged
}

export const tell = <K extends AnyKind>(to: Address<K>, command: CommandOf<K>): Tell => ({ _tag: "Tell", to, command })
