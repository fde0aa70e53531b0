// Looks up the units of a chained cut: those of a row up to the first that is missing.
#ifndef ACTCACHE_UNITS_CHAIN_SEARCH_H_
#define ACTCACHE_UNITS_CHAIN_SEARCH_H_

#include "units/match.h"

namespace actcache {

// As FindUnits(), which calls it. All rows use as many units as the one that has the fewest
// (Cut::Used()); what others have beyond that is computed again, and stays.
//
// A call is drawn for verification as a whole: all that is found is computed and compared, so that
// the share of such units is the one that was asked for. (Drawn one by one, few chains would last.)
Match FindChains(Store& store, const Keys& keys, const Units& units, const ElementTypes& types,
                 const LookupRules& rules);

}  // namespace actcache

#endif  // ACTCACHE_UNITS_CHAIN_SEARCH_H_
