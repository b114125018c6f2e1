import { moment, relative } from '../lib/format';
import { useNow } from '../lib/now';
import { t } from '../strings';

/** A relative time, with the exact time on hover. */
export function RelativeTime({ at }: { readonly at: string | null | undefined }) {
  const now = useNow();
  if (!at) return t.none;
  return (
    <time dateTime={at} title={moment(at)}>
      {relative(at, now)}
    </time>
  );
}
