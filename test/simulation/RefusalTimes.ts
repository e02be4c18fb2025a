import type { PublicationsRefused } from "@logbrook/actors/client/Client"

interface Told {
  /** Of the server's life: its stop tells what there is. */
  readonly epoch: number
  readonly sinceMs: number
  events: number
}

/** What is refused of a client is one event a second at most, and says of how many messages and why. */
export class RefusalTimes {
  readonly #violated: (message: string) => void
  readonly #told = new Map<string, Told>()

  constructor(violated: (message: string) => void) {
    this.#violated = violated
  }

  apply(client: string, { protocol, refused }: PublicationsRefused, epoch: number, nowMs: number): void {
    const name = `${protocol} ${client}`
    let told = this.#told.get(name)
    if (told?.epoch !== epoch) {
      told = { epoch, sinceMs: nowMs, events: 0 }
      this.#told.set(name, told)
    }
    told.events++
    // One is on its way to the disk for a while, and one more comes with the server's stop.
    const eventsMax = 3 + (nowMs - told.sinceMs) / 1000
    if (told.events > eventsMax) this.#violated(`${told.events} events tell of what is refused of ${name}`)
    const isSaid = refused.length > 0 && refused.every(({ code, reason, count }) => code && reason && count > 0)
    if (!isSaid) this.#violated(`what is refused of ${name} is told as ${JSON.stringify(refused)}`)
  }
}
