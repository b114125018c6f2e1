import type { Instance } from '../api/client';
import { t } from '../strings';

type Machine = Pick<Instance, 'instance_type' | 'region' | 'hourly_rate'>;

/** Whether its type only sets limits: it runs on the daemon's computer, at no price. */
export function isThisComputer(it: Machine): boolean {
  return it.region === 'local' && it.hourly_rate === null;
}

/** The type of its machine, as a list shows it. */
export function machineType(it: Machine): string {
  return isThisComputer(it) ? t.machine.local : it.instance_type;
}

/** The same, where there is room. */
export function machineTypeInWords(it: Machine): string {
  return isThisComputer(it) ? t.machine.limits(it.instance_type) : it.instance_type;
}
