import PropertyFilter from '@cloudscape-design/components/property-filter';
import { type ReactNode, useMemo } from 'react';

import type { Instance } from '../api/client';
import { FIELD_NAMES, FIELDS, type Query } from '../lib/filters';
import { t } from '../strings';

/** The filter of the list of workspaces. */
export function InstanceFilter({
  list,
  query,
  matches,
  views,
  onChange,
}: {
  readonly list: readonly Instance[];
  readonly query: Query;
  readonly matches: number;
  readonly views: ReactNode;
  readonly onChange: (query: Query) => void;
}) {
  const options = useMemo(
    () =>
      FIELD_NAMES.flatMap((propertyKey) => {
        const values = new Set(list.map(FIELDS[propertyKey]));
        values.delete('');
        return [...values].sort().map((value) => ({ propertyKey, value }));
      }),
    [list],
  );
  return (
    <PropertyFilter
      query={query}
      customControl={views}
      filteringOptions={options}
      filteringProperties={FIELD_NAMES.map((key) => ({
        key,
        propertyLabel: t.fields[key],
        groupValuesLabel: t.valuesOf(t.fields[key]),
        operators: ['=', '!=', ':', '!:'],
      }))}
      filteringPlaceholder={t.workspaces.filter}
      filteringAriaLabel={t.workspaces.filter}
      countText={query.tokens.length > 0 ? t.matches(matches) : ''}
      onChange={({ detail }) => onChange(detail)}
    />
  );
}
