import type { SleeperPlan } from "../Plan.ts"
import { payloadOf } from "../payload.ts"
import type { Client, World } from "../World.ts"
import { MqttPeer } from "./MqttPeer.ts"

/** Comes and goes: its session expires between two connections, or does not, and its will has a delay. */
export class Sleeper implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: SleeperPlan
  readonly #peer: MqttPeer

  constructor(world: World, plan: SleeperPlan) {
    this.name = plan.name
    this.#world = world
    this.#plan = plan
    const { name, sessionExpirySeconds, willDelaySeconds } = plan
    const random = world.random(`${name}/sleep`)
    this.#peer = new MqttPeer(
      world,
      {
        name,
        version: 5,
        isDurable: true,
        sessionExpirySeconds,
        awayMs: () => random.between(0, 2 * sessionExpirySeconds * 1000),
        will: (connection) => ({
          topic: `w/${name}`,
          payload: payloadOf(`${name}-will`, connection, 20),
          delaySeconds: willDelaySeconds
        })
      },
      {
        onConnected: () => this.#connected(),
        onPacket: () => undefined,
        onLost: () => undefined
      }
    )
  }

  start(): void {
    this.#peer.connect()
  }

  #connected(): void {
    const { connection, random } = this.#peer
    this.#world.scheduler.after(random.between(100, this.#plan.staysMsMax) * 1000, () => {
      if (connection !== this.#peer.connection || this.#world.isHealed) return
      if (random.chance(0.3)) this.#peer.disconnect(false)
      else this.#peer.reset()
    })
  }

  waitsFor(): string | undefined {
    return undefined
  }

  leave(): void {
    this.#peer.disconnect(true)
  }
}
