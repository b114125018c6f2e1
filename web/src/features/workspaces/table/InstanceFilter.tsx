import PropertyFilter from '@cloudscape-design/components/property-filter';
import { useQuery } from '@tanstack/react-query';
import { memo, type ReactNode, useMemo } from 'react';

import { queries } from '../../../api/queries';
import { FIELD_NAMES, FIELDS, type Query } from './filters';
import { useStable } from '../../../lib/useStable';
import { t } from '../../../strings';

const PROPERTIES = FIELD_NAMES.map((key) => ({
  key,
  propertyLabel: t.fields[key],
  groupValuesLabel: t.valuesOf(t.fields[key]),
  operators: ['=', '!=', ':', '!:'] as const,
}));

/** The filter of the list of workspaces; a change that adds no value does not draw it again. */
export const InstanceFilter = memo(function InstanceFilter({
  query,
  matches,
  views,
  onChange,
  onType,
}: {
  readonly query: Query;
  readonly matches: number;
  readonly views: ReactNode;
  readonly onChange: (query: Query) => void;
  /** Called with the text that is in the field, at each key. */
  readonly onType: (text: string) => void;
}) {
  const { data: list } = useQuery(queries.instances);
  const present = useMemo(
    () =>
      // Names are found by typing; as suggestions, a thousand of them would make each key slow.
      FIELD_NAMES.filter((key) => key !== 'name').flatMap((propertyKey) => {
        const values = new Set((list ?? []).map(FIELDS[propertyKey]));
        values.delete('');
        return [...values].sort().map((value) => ({ propertyKey, value }));
      }),
    [list],
  );
  const options = useStable(present, sameOptions);
  return useMemo(
    () => (
      <Typed onType={onType}>
        <PropertyFilter
          query={query}
          customControl={views}
          filteringOptions={options}
          filteringProperties={PROPERTIES}
          filteringPlaceholder={t.workspaces.filter}
          filteringAriaLabel={t.workspaces.filter}
          countText={query.tokens.length > 0 ? t.matches(matches) : ''}
          onChange={({ detail }) => onChange(detail)}
        />
      </Typed>
    ),
    [query, views, options, matches, onChange, onType],
  );
});

/** Tells what is in the text field within: the filter itself tells only what was chosen. */
function Typed({
  onType,
  children,
}: {
  readonly onType: (text: string) => void;
  readonly children: ReactNode;
}) {
  const tell = ({ currentTarget }: { readonly currentTarget: HTMLElement }) => {
    // After the key, or the click on what clears the field, has had its effect.
    setTimeout(() => onType(currentTarget.querySelector('input')?.value ?? ''), 0);
  };
  return (
    <div onInput={tell} onKeyUp={tell} onClick={tell}>
      {children}
    </div>
  );
}

interface Option {
  readonly propertyKey: string;
  readonly value: string;
}

function sameOptions(before: readonly Option[], now: readonly Option[]): boolean {
  return (
    before.length === now.length &&
    before.every(
      (it, index) => it.value === now[index]?.value && it.propertyKey === now[index].propertyKey,
    )
  );
}
