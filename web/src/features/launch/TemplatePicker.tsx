import Box from '@cloudscape-design/components/box';
import Cards from '@cloudscape-design/components/cards';
import Header from '@cloudscape-design/components/header';
import TextFilter from '@cloudscape-design/components/text-filter';

import type { TemplateItem } from '../../api/client';
import { favourite, usable } from '../../lib/order';
import { useSearch } from '../../lib/useSearch';
import { t } from '../../strings';
import { PageLink } from '../../ui/PageLink';
import { TemplateBadges } from '../templates/TemplateBadges';

const FEW = 6;

/** The templates that can be launched here, one of them chosen. */
export function TemplatePicker({
  templates,
  provider,
  chosen,
  few,
  choose,
}: {
  readonly templates: readonly TemplateItem[];
  readonly provider: string;
  readonly chosen: string;
  readonly few: boolean;
  readonly choose: (slug: string) => void;
}) {
  const [search, change] = useSearch();
  const text = (search.get('find') ?? '').toLowerCase();
  const first = favourite(templates, provider);
  const fit = templates
    .filter((it) => usable(it, provider))
    .toSorted((a, b) => Number(b.slug === first) - Number(a.slug === first));
  const matching = fit.filter((it) =>
    `${it.name} ${it.description} ${it.category}`.toLowerCase().includes(text),
  );
  const shown = few ? fit.filter((it, at) => at < FEW || it.slug === chosen) : matching;
  return (
    <Cards
      items={shown}
      trackBy="slug"
      selectionType="single"
      entireCardClickable
      selectedItems={shown.filter((it) => it.slug === chosen)}
      onSelectionChange={({ detail }) => {
        const [it] = detail.selectedItems;
        if (it !== undefined) choose(it.slug);
      }}
      ariaLabels={{
        selectionGroupLabel: t.templates.choose,
        itemSelectionLabel: (_, it) => t.templates.chooseOne(it.name),
      }}
      cardsPerRow={[{ cards: 1 }, { minWidth: 440, cards: 2 }, { minWidth: 940, cards: 3 }]}
      cardDefinition={{
        header: (it) => it.name,
        sections: [
          { id: 'description', content: (it) => it.description },
          { id: 'badges', content: (it) => <TemplateBadges template={it} provider={provider} /> },
        ],
      }}
      header={
        <Header
          variant="h2"
          counter={`(${few ? fit.length : matching.length})`}
          actions={few ? <PageLink href="/launch">{t.templates.all}</PageLink> : undefined}
        >
          {t.fields.template}
        </Header>
      }
      {...(few
        ? {}
        : {
            filter: (
              <TextFilter
                filteringText={search.get('find') ?? ''}
                filteringPlaceholder={t.templates.filter}
                filteringAriaLabel={t.templates.filter}
                countText={text === '' ? '' : t.matches(matching.length)}
                onChange={({ detail }) => change({ find: detail.filteringText || null })}
              />
            ),
          })}
      empty={<Box color="text-body-secondary">{t.templates.noMatch}</Box>}
    />
  );
}
