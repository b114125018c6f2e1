import { useQuery } from '@tanstack/react-query';

import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { day, hourly } from '../../lib/format';
import { pricesOf } from '../../lib/order';
import { t } from '../../strings';

/** The machine, the price and the date until which the money lasts of an order. */
export function OrderPrice({
  order,
  priced,
}: {
  readonly order: Schemas['LaunchRequest'];
  readonly priced: boolean;
}) {
  const { data: plan, error } = useQuery({
    ...queries.plan(order),
    enabled: priced,
    placeholderData: (before, query) => (pricesOf(query?.queryKey[1], order) ? before : undefined),
    retry: false,
    gcTime: 0,
    staleTime: 0,
  });
  if (error !== null) return error.message;
  if (plan === undefined) return t.launch.pricing;
  const lasts = plan.lasts_until === null ? '' : t.launch.lasts(day(plan.lasts_until));
  return `${t.launch.machine(plan.vcpus, plan.memory_gib, plan.gpus)} · ${hourly(plan.hourly)}${lasts}`;
}
