import { afterEach, beforeEach, expect } from "vitest"
import { startKit, type Kit, type RawClient } from "./kit.ts"

/** A broker and a client of it for each test of the file, that is told of them; a defect of the broker fails the test. */
export const aKitForEach = (begins: (kit: Kit, client: RawClient) => void): void => {
  let kit: Kit
  beforeEach(async () => {
    kit = await startKit()
    begins(kit, await kit.connect())
  })
  afterEach(async () => {
    await kit.close()
    expect(kit.defects).toEqual([])
  })
}
