import Tiles from '@cloudscape-design/components/tiles';

import type { Schemas } from '../../api/client';
import { runsHere } from '../../lib/providers';
import { t } from '../../strings';
import { OrderPrice } from './OrderPrice';

/** The places where it can be launched, with the machine and the price of each, side by side. */
export function ProfileTiles({
  profiles,
  order,
  priced,
  chosen,
  choose,
}: {
  readonly profiles: readonly Schemas['ProfileShown'][];
  readonly order: Schemas['LaunchRequest'];
  /** Whether the price of each place is asked for. */
  readonly priced: boolean;
  /** Empty is the profile in use. */
  readonly chosen: string;
  readonly choose: (profile: string | null) => void;
}) {
  const active = profiles.find((it) => it.active)?.name ?? '';
  return (
    <Tiles
      value={chosen === '' ? active : chosen}
      columns={2}
      ariaLabel={t.launch.place}
      items={profiles
        .toSorted((a, b) => Number(b.active) - Number(a.active))
        .map(({ name, provider, region }) => ({
          value: name,
          label: t.plan.place(runsHere(provider), name, region ?? t.launch.defaultRegion),
          description: <OrderPrice order={{ ...order, profile: name }} priced={priced} />,
        }))}
      onChange={({ detail }) => choose(detail.value === active ? null : detail.value)}
    />
  );
}
