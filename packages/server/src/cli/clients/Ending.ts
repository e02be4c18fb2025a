/** The end of a connection beside what is waited for: however often that is, one reaction hangs on the promise that may never settle. */
export class Ending {
  #error: unknown
  #hasEnded = false
  #reject: ((error: unknown) => void) | undefined

  constructor(ended: Promise<never>) {
    ended.catch((error: unknown) => {
      this.#error = error
      this.#hasEnded = true
      this.#reject?.(error)
    })
  }

  /** Settles as `waited` does, or rejects with the end's error. There is one at a time. */
  async before<A>(waited: Promise<A>): Promise<A> {
    if (this.#hasEnded) throw this.#error
    const { promise, resolve, reject } = Promise.withResolvers<A>()
    this.#reject = reject
    waited.then(resolve, reject)
    return promise
  }
}
