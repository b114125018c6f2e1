import Container from '@cloudscape-design/components/container';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useQuery } from '@tanstack/react-query';

import type { Instance } from '../../api/client';
import { queries } from '../../api/queries';
import { useSearch } from '../../lib/useSearch';
import { t } from '../../strings';
import { Loaded } from '../../ui/Loaded';
import { LogLines } from './LogLines';

/** The logs of a workspace, followed, with a search. */
export function LogPanel({ instance }: { readonly instance: Instance }) {
  const query = useQuery(queries.logTypes(instance.workspace));
  const [search, change] = useSearch();
  return (
    <Container header={<Header variant="h2">{t.workspace.tab.logs}</Header>}>
      <Loaded query={query} what={t.workspace.tab.logs}>
        {({ available_log_types: types }) => {
          const type = types.find((it) => it === search.get('log')) ?? types[0];
          if (type === undefined) return t.logs.none;
          return (
            <SpaceBetween size="m">
              <SpaceBetween direction="horizontal" size="s">
                <SegmentedControl
                  label={t.logs.type}
                  selectedId={type}
                  options={types.map((id) => ({ id, text: t.logs.types[id] }))}
                  onChange={({ detail }) => change({ log: detail.selectedId })}
                />
                <Input
                  type="search"
                  ariaLabel={t.logs.search}
                  placeholder={t.logs.search}
                  value={search.get('find') ?? ''}
                  onChange={({ detail }) => change({ find: detail.value || null })}
                />
              </SpaceBetween>
              <LogLines
                key={instance.workspace}
                instance={instance}
                type={type}
                search={search.get('find') ?? ''}
              />
            </SpaceBetween>
          );
        }}
      </Loaded>
    </Container>
  );
}
