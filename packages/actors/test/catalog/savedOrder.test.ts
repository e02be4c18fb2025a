import { defaultLimits } from "@logbrook/core/Limits"
import { stateHash } from "@logbrook/core/actor/pack"
import { makeCatalog } from "@logbrook/actors/catalog/Catalog"
import { catalogActor } from "@logbrook/actors/catalog/CatalogProtocol"
import { expect, it } from "vitest"

const catalog = makeCatalog(defaultLimits)

it("has the same hash whether its state was folded or loaded (simulation, seed 26)", () => {
  const folded = catalog.evolve(catalog.initial(catalogActor), { _tag: "ProducerIdsAllocated", first: 1, count: 9 })
  const loaded = catalog.load(catalogActor, structuredClone(catalog.save(folded)))
  expect(stateHash(catalog.save(loaded))).toEqual(stateHash(catalog.save(folded)))
})
