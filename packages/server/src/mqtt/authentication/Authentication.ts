import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Principal } from "@logbrook/core/access/Access"
import type { Clock } from "@logbrook/core/Clock"
import { encodeAuth } from "@logbrook/protocols/mqtt/encode"
import { type Auth, MqttError, type SessionPacket } from "@logbrook/protocols/mqtt/Packet"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import type { Log } from "../../Log.ts"
import { defectText } from "../../defectText.ts"
import type { Client } from "../Client.ts"
import type {
  AuthenticatingClient,
  AuthenticationExchange,
  AuthenticationMethod,
  AuthenticationStep
} from "./AuthenticationMethod.ts"

/** A connection as its authentication knows it. */
export interface AuthenticatedConnection extends Pick<Client, "packetSizeMax" | "send" | "guarded"> {
  /** AUTH was sent: the client's answer is due. */
  readonly challenged: () => void
  /** CONNACK with the error's code, or DISCONNECT behind CONNACK; then the end. */
  readonly notAuthenticated: (error: MqttError) => void
}

interface Parts {
  readonly clock: Clock
  readonly log: Log
  readonly timeoutMs: number
}

/** Called once CONNECT's client is known: CONNACK has the data. */
export type OnAuthenticated = (principal: Principal, data: Uint8Array | undefined) => void

/**
 * The enhanced authentication of one connection (MQTT 5, 4.12).
 *
 * | State | What it does | Goes on to |
 * |---|---|---|
 * | `looking` | the method looks at what the client has sent | `waiting`, `known`, the end |
 * | `waiting` | AUTH 0x18 was sent: the client's answer is due | `looking`, the end |
 * | `known` | the client is authenticated; AUTH 0x19 begins anew, while all else goes on | `looking` |
 *
 * An exchange that is not through in time ends the connection.
 */
export class Authentication {
  readonly #connection: AuthenticatedConnection
  readonly #parts: Parts
  readonly #method: AuthenticationMethod
  readonly #client: AuthenticatingClient
  #onAuthenticated: OnAuthenticated | undefined
  #state: "looking" | "waiting" | "known" = "known"
  #exchange: AuthenticationExchange | undefined
  #principal: Principal | undefined
  /** Interrupts the step that is under way. */
  #interrupt: (() => void) | undefined
  #disarm: (() => void) | undefined

  constructor(
    connection: AuthenticatedConnection,
    parts: Parts,
    method: AuthenticationMethod,
    client: AuthenticatingClient
  ) {
    this.#connection = connection
    this.#parts = parts
    this.#method = method
    this.#client = client
  }

  /** The method looks at something: what the client sends has to wait until it is through. */
  get isLooking(): boolean {
    return this.#state === "looking"
  }

  /** CONNECT has come, with this Authentication Data. */
  begin(data: Uint8Array | undefined, onAuthenticated: OnAuthenticated): void {
    this.#onAuthenticated = onAuthenticated
    this.#beginExchange(data)
  }

  /** A packet that comes before the client is known. Throws `MqttError` for all but AUTH [MQTT-3.1.2-30]. */
  receivedFirst(packet: SessionPacket): void {
    if (packet._tag === "Auth") {
      this.received(packet)
      return
    }
    const reason = `${packet._tag.toUpperCase()} came before authentication was through`
    throw new MqttError(ReasonCode.ProtocolError, reason)
  }

  /** AUTH. Throws `MqttError` for one that may not come now, or names another method [MQTT-4.12.0-5, MQTT-4.12.1-1]. */
  received({ reasonCode, properties }: Auth): void {
    const { authenticationMethod, authenticationData } = properties
    if (authenticationMethod !== this.#method.name) {
      // DISCONNECT has no 0x8C (MQTT 5, 3.14.2.1).
      const isFirst = this.#onAuthenticated !== undefined
      const code = isFirst ? ReasonCode.BadAuthenticationMethod : ReasonCode.ProtocolError
      throw new MqttError(code, "AUTH names another method than CONNECT")
    }
    const isAnew = reasonCode === ReasonCode.ReAuthenticate
    if (this.#state !== (isAnew ? "known" : "waiting")) {
      throw new MqttError(
        ReasonCode.ProtocolError,
        `AUTH ${isAnew ? "begins anew before it is through" : "answers nothing"}`
      )
    }
    if (isAnew) this.#beginExchange(authenticationData)
    else this.#look(authenticationData)
  }

  /** The connection has ended. */
  stop(): void {
    this.#exchange = undefined
    this.#interrupt?.()
    this.#interrupt = undefined
    this.#disarm?.()
    this.#disarm = undefined
  }

  #beginExchange(data: Uint8Array | undefined): void {
    const { clock, timeoutMs } = this.#parts
    this.#disarm = clock.after(timeoutMs, () => this.#refuse(ReasonCode.NotAuthorized, "authentication took too long"))
    this.#exchange = this.#method.begin(this.#client)
    this.#look(data)
  }

  #look(data: Uint8Array | undefined): void {
    const exchange = this.#exchange!
    this.#state = "looking"
    const step = Effect.suspend(() => exchange.step(data))
    let isOver = false
    const interrupt = Effect.runCallback(step, {
      onExit: (exit) => {
        isOver = true
        // Else it was interrupted.
        if (this.#exchange === exchange) this.#connection.guarded(() => this.#looked(exit))
      }
    })
    // What the step led to may have begun the next one already.
    if (!isOver) this.#interrupt = interrupt
  }

  #looked(exit: Exit.Exit<AuthenticationStep>): void {
    this.#interrupt = undefined
    if (Exit.isFailure(exit)) {
      this.#parts.log.error("mqtt: a method of authentication fails", {
        method: this.#method.name,
        error: defectText(exit.cause)
      })
      this.#refuse(ReasonCode.UnspecifiedError, "authentication is not possible")
      return
    }
    const step = exit.value
    switch (step._tag) {
      case "Refused":
        this.#refuse(step.code, step.reason)
        return
      case "Continue":
        this.#state = "waiting"
        if (this.#sendAuth(ReasonCode.ContinueAuthentication, step.data)) this.#connection.challenged()
        return
      case "Accepted":
        this.#accepted(step.principal, step.data)
    }
  }

  #accepted(principal: Principal, data: Uint8Array | undefined): void {
    const onAuthenticated = this.#onAuthenticated
    this.stop()
    this.#state = "known"
    if (onAuthenticated !== undefined) {
      this.#onAuthenticated = undefined
      this.#principal = principal
      onAuthenticated(principal, data)
    } else if (principal.name === this.#principal?.name) this.#sendAuth(ReasonCode.Success, data)
    // What the client has and may do, here and in its session, is that of the one that it was.
    else this.#refuse(ReasonCode.NotAuthorized, "the client has become another one")
  }

  /** [MQTT-4.12.0-5] False: the client cannot take it, and its connection has ended. */
  #sendAuth(reasonCode: number, data: Uint8Array | undefined): boolean {
    const { packetSizeMax } = this.#connection
    const properties = {
      authenticationMethod: this.#method.name,
      ...(data !== undefined && { authenticationData: data })
    }
    const packet = encodeAuth(reasonCode, properties, packetSizeMax)
    const fits = packet.length <= packetSizeMax
    if (fits) this.#connection.send(packet)
    else this.#refuse(ReasonCode.PacketTooLarge, "AUTH is above the client's Maximum Packet Size")
    return fits
  }

  /** [MQTT-4.12.0-4, MQTT-4.12.1-2] */
  #refuse(code: ReasonCode, reason: string): void {
    this.stop()
    this.#connection.notAuthenticated(new MqttError(code, reason))
  }
}
