/**
 * One turn of the event loop. Vitest takes a test that holds it for a minute for dead, which a slow machine does with a property
 * that has none: `asyncProperty(…).beforeEach(turn)`.
 */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
