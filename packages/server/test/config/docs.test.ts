import { expect, it } from "vitest"
import { configurationPage } from "../../../../scripts/config-docs.ts"

it("docs/configuration.md tells every setting as it is (node --conditions=source scripts/config-docs.ts writes it)", () => {
  const { found, wanted } = configurationPage()
  expect(wanted).toContain("| `limits.connectionsMax` | 10000 |")
  expect(found).toBe(wanted)
})
