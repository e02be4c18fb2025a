import { expect, it } from "vitest"
import { holders, MemoryAccount, ownBytes, sharesPercent, textBytes } from "@logbrook/core/memory/MemoryAccount"

it("gives the holders the whole between them, and none of them what is another's", () => {
  expect(holders.reduce((sum, holder) => sum + sharesPercent[holder], 0)).toBe(100)
  const account = new MemoryAccount(1000)
  account.add("groups", account.budget("groups"))
  expect(account.room("groups")).toBe(0)
  for (const holder of holders) if (holder !== "groups") expect(account.room(holder)).toBe(account.budget(holder))
})

it("has no room where more is kept than may be, and room again once less is", () => {
  const account = new MemoryAccount(1000)
  const budget = account.budget("retained")
  account.add("retained", budget + 5)
  expect(account.room("retained")).toBe(0)
  account.add("retained", -15)
  expect(account.room("retained")).toBe(10)
  expect(account.bytes("retained")).toBe(budget - 10)
})

it("counts a byte per character of ASCII, two of any other text", () => {
  expect(textBytes("a".repeat(100)) - textBytes("")).toBe(100)
  expect(textBytes(`${"a".repeat(99)}Ω`) - textBytes("")).toBe(200)
  expect(ownBytes(new Uint8Array(1000)) - ownBytes(new Uint8Array(0))).toBe(1000)
})
