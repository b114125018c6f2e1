import { money } from '../../lib/format';
import { partsOf } from './money';
import { t } from '../../strings';

/** A cap as a bar: what is spent, what is set aside, what is left; the words below it say the same. */
export function CapBar({
  label,
  amount,
  settled,
  reserved,
  left,
}: {
  readonly label: string;
  readonly amount: number;
  readonly settled: number | null;
  readonly reserved: number;
  readonly left: number | null;
}) {
  const parts = partsOf(amount, settled ?? 0, reserved);
  const words = t.money.bar(money(settled), money(reserved), money(left), money(amount));
  return (
    <div>
      <svg
        className="cap"
        viewBox="0 0 100 4"
        preserveAspectRatio="none"
        role="img"
        aria-label={`${label}: ${words}`}
      >
        <rect className="cap-left" x="0" y="0" width="100" height="4" />
        <rect className="cap-settled" x="0" y="0" width={100 * parts.settled} height="4" />
        <rect
          className="cap-reserved"
          x={100 * parts.settled}
          y="0"
          width={100 * parts.reserved}
          height="4"
        />
      </svg>
      <small>{words}</small>
    </div>
  );
}
