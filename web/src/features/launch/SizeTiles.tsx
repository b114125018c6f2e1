import Tiles from '@cloudscape-design/components/tiles';
import { useQuery } from '@tanstack/react-query';

import type { Schemas } from '../../api/client';
import { queries } from '../../api/queries';
import { day, hourly } from '../../lib/format';
import { pricesOf } from '../../lib/order';
import { type Size, SIZES } from '../../lib/sizes';
import { t } from '../../strings';

const DEFAULT = 'default';

/** The sizes, with the machine, the price and the date until which the money lasts of each. */
export function SizeTiles({
  order,
  priced,
  chosen,
  choose,
}: {
  readonly order: Schemas['LaunchRequest'];
  /** Whether the order can be launched; before, the other sizes are not asked for. */
  readonly priced: boolean;
  readonly chosen: Size | null;
  readonly choose: (size: Size | null) => void;
}) {
  return (
    <Tiles
      value={chosen ?? DEFAULT}
      columns={3}
      ariaLabel={t.launch.size}
      items={[
        { value: DEFAULT, label: t.launch.sizeDefault, description: t.launch.sizeDefaultWhat },
        ...SIZES.map((size) => ({
          value: size,
          label: size,
          description: <SizeText order={{ ...order, size }} priced={priced} />,
        })),
      ]}
      onChange={({ detail }) => choose(SIZES.find((size) => size === detail.value) ?? null)}
    />
  );
}

function SizeText({
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
