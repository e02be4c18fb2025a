import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Principal } from "@logbrook/core/access/Access"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"

/** The client that says who it is, as CONNECT tells. */
export interface AuthenticatingClient {
  /** Given by the server if CONNECT has none. */
  readonly clientId: string
  readonly username: string | undefined
  readonly password: Uint8Array | undefined
  readonly address: string
}

/** The codes with which a method may refuse a client (MQTT 5, 3.2.2.2 and 3.14.2.1). */
export type AuthenticationRefusal =
  | typeof ReasonCode.NotAuthorized
  | typeof ReasonCode.BadUserNameOrPassword
  | typeof ReasonCode.Banned
  | typeof ReasonCode.ServerUnavailable

/** The outcome of a look at the client's data. The data of the server is Authentication Data of AUTH, or of CONNACK. */
export type AuthenticationStep =
  /** The client has to answer. */
  | { readonly _tag: "Continue"; readonly data: Uint8Array | undefined }
  /** It is this one. */
  | { readonly _tag: "Accepted"; readonly principal: Principal; readonly data: Uint8Array | undefined }
  /** `reason` is told to the client, so it says nothing of secrets. */
  | { readonly _tag: "Refused"; readonly code: AuthenticationRefusal; readonly reason: string }

/** An exchange: that of CONNECT, or of a client that authenticates anew. */
export interface AuthenticationExchange {
  /**
   * Looks at the Authentication Data of CONNECT or AUTH; the bytes are its own. Interrupted when the connection ends, or the exchange
   * has taken `limits.authenticationTimeoutMs`. A defect refuses the client.
   */
  readonly step: (data: Uint8Array | undefined) => Effect.Effect<AuthenticationStep>
}

/** A mechanism of enhanced authentication (MQTT 5, 4.12), under the name that clients give as Authentication Method. */
export interface AuthenticationMethod {
  readonly name: string
  readonly begin: (client: AuthenticatingClient) => AuthenticationExchange
}

/** The methods that clients may name. The server has none: a client that names one is refused with 0x8C. */
export class AuthenticationMethods extends Context.Reference<AuthenticationMethods>()(
  "logbrook/AuthenticationMethods",
  { defaultValue: (): ReadonlyArray<AuthenticationMethod> => [] }
) {}
