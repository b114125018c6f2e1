import type { Instance } from '../../api/client';
import { t } from '../../strings';

/** The type of its machine, as a list shows it; on the daemon's computer it has one if it has a price. */
export function machineType(it: Pick<Instance, 'instance_type' | 'machine'>): string {
  return it.machine === it.instance_type ? it.instance_type : t.machine.local;
}
