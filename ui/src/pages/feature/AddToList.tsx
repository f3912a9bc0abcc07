import { useRef } from "react";
import { useAddToList, useLists } from "../../api/queries";
import { Menu } from "../../components/Menu";
import { Failed } from "../../components/States";
import { useKeys } from "../../keys";

/** Keeps the feature in a list of one's own, or in a new one. */
export function AddToList({ name, index }: { name: string; index: number }) {
  const lists = useLists();
  const add = useAddToList();
  const input = useRef<HTMLInputElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  useKeys("Lists", [
    {
      keys: ["l"],
      does: "keep it in a list",
      run: () => {
        opener.current?.focus(); // where the focus goes back to
        opener.current?.click();
      },
    },
  ]);
  const entry = { sae: name, feature: index };
  return (
    <Menu label="☆ list" name="Keep in a list" opener={opener}>
      {(close) => (
        <div className="add-to-list">
          <div className="items">
            {lists.data?.map((list) => {
              const there = list.features.some((each) => each.sae === name && each.feature === index);
              return (
                <button key={list.id} type="button" disabled={there} onClick={() => add.mutate({ list, entry }, { onSuccess: close })}>
                  {list.name} <span className="soft">{there ? "is in it" : list.features.length}</span>
                </button>
              );
            })}
          </div>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              const title = input.current?.value.trim();
              if (title) add.mutate({ list: title, entry }, { onSuccess: close });
            }}
          >
            <input ref={input} className="field" aria-label="Name of a new list" placeholder="new list" />{" "}
            <button type="submit" className="button">
              make
            </button>
          </form>
          {(lists.error ?? add.error) && <Failed what="Lists:" error={(lists.error ?? add.error) as Error} />}
        </div>
      )}
    </Menu>
  );
}
