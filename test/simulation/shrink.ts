import type { Hooks } from "./faults/Hooks.ts"
import type { Plan } from "./Plan.ts"
import { Simulation } from "./Simulation.ts"

const runsMax = 60

const without = <T>(list: ReadonlyArray<T>, at: number): ReadonlyArray<T> => list.filter((_, i) => i !== at)

/** Plans that do less, each in one respect. */
const smallerPlans = function* (plan: Plan): Generator<Plan> {
  for (let i = 0; i < plan.clients.length; i++) yield { ...plan, clients: without(plan.clients, i) }
  for (let i = 0; i < plan.mishaps.length; i++) yield { ...plan, mishaps: without(plan.mishaps, i) }
  const { disk, network } = plan
  if (network.lifeMsMax > 0) yield { ...plan, network: { ...network, lifeMsMax: 0 } }
  if (network.cutting.length > 1 || network.cutting[0] !== "whole")
    yield { ...plan, network: { ...network, cutting: ["whole"] } }
  if (disk.stallChance > 0) yield { ...plan, disk: { ...disk, stallChance: 0 } }
  if (plan.settling.isOn) yield { ...plan, settling: { ...plan.settling, isOn: false } }
  if (disk.segmentBytes < 1e9) yield { ...plan, disk: { ...disk, segmentBytes: 1e9 } }
  for (const name of Object.keys(plan.limits)) {
    if (name === "newConnectionsPerSecondMax") continue
    yield { ...plan, limits: Object.fromEntries(Object.entries(plan.limits).filter(([other]) => other !== name)) }
  }
  for (const [i, client] of plan.clients.entries()) {
    if (client.kind !== "publisher" || client.messages < 4) continue
    yield { ...plan, clients: plan.clients.with(i, { ...client, messages: client.messages >> 1 }) }
  }
}

/** The smallest plan found that still fails, in whatever way. */
export const shrink = async (plan: Plan, plant: () => Hooks = () => ({})): Promise<{ plan: Plan; runs: number }> => {
  let smallest = plan
  let runs = 0
  for (let isSmaller = true; isSmaller;) {
    isSmaller = false
    for (const candidate of smallerPlans(smallest)) {
      if (runs >= runsMax) return { plan: smallest, runs }
      runs++
      if ((await new Simulation(candidate, plant()).run()).violation === undefined) continue
      smallest = candidate
      isSmaller = true
      break
    }
  }
  return { plan: smallest, runs }
}
