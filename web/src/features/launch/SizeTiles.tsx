import Tiles from '@cloudscape-design/components/tiles';

import type { Schemas } from '../../api/client';
import { type Size, SIZES } from '../../lib/sizes';
import { t } from '../../strings';
import { OrderPrice } from './OrderPrice';

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
      // A machine type, from the other options, stands in place of a size.
      value={order.instance_type ? null : (chosen ?? DEFAULT)}
      columns={3}
      ariaLabel={t.launch.size}
      items={[
        { value: DEFAULT, label: t.launch.sizeDefault, description: t.launch.sizeDefaultWhat },
        ...SIZES.map((size) => ({
          value: size,
          label: size,
          description: (
            <OrderPrice order={{ ...order, instance_type: null, size }} priced={priced} />
          ),
        })),
      ]}
      onChange={({ detail }) => choose(SIZES.find((size) => size === detail.value) ?? null)}
    />
  );
}
