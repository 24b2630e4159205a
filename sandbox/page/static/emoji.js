// The emoji that people use at work, by Slack's names. Others stay words between colons.

const TABLE = `
grinning 😀|smiley 😃|smile 😄|grin 😁|laughing 😆|satisfied 😆|sweat_smile 😅|joy 😂|rolling_on_the_floor_laughing 🤣
slightly_smiling_face 🙂|upside_down_face 🙃|wink 😉|blush 😊|innocent 😇|heart_eyes 😍|star-struck 🤩|kissing_heart 😘
yum 😋|stuck_out_tongue 😛|zany_face 🤪|thinking_face 🤔|zipper_mouth_face 🤐|neutral_face 😐|expressionless 😑
no_mouth 😶|smirk 😏|unamused 😒|face_with_rolling_eyes 🙄|grimacing 😬|relieved 😌|pensive 😔|sleepy 😪|sleeping 😴
mask 😷|face_with_thermometer 🤒|nauseated_face 🤢|sneezing_face 🤧|hot_face 🥵|cold_face 🥶|dizzy_face 😵
exploding_head 🤯|face_with_cowboy_hat 🤠|partying_face 🥳|sunglasses 😎|nerd_face 🤓|face_with_monocle 🧐|confused 😕
worried 😟|slightly_frowning_face 🙁|white_frowning_face ☹️|open_mouth 😮|hushed 😯|astonished 😲|flushed 😳
pleading_face 🥺|frowning 😦|anguished 😧|fearful 😨|cold_sweat 😰|disappointed_relieved 😥|cry 😢|sob 😭|scream 😱
confounded 😖|persevere 😣|disappointed 😞|sweat 😓|weary 😩|tired_face 😫|yawning_face 🥱|triumph 😤|rage 😡|angry 😠
skull 💀|hankey 💩|clown_face 🤡|ghost 👻|alien 👽|robot_face 🤖|see_no_evil 🙈|hear_no_evil 🙉|speak_no_evil 🙊
heart ❤️|orange_heart 🧡|yellow_heart 💛|green_heart 💚|blue_heart 💙|purple_heart 💜|black_heart 🖤|broken_heart 💔
100 💯|anger 💢|boom 💥|collision 💥|dizzy 💫|sweat_drops 💦|dash 💨|bomb 💣|speech_balloon 💬|thought_balloon 💭|zzz 💤
wave 👋|raised_hand ✋|ok_hand 👌|v ✌️|crossed_fingers 🤞|point_left 👈|point_right 👉|point_up_2 👆|point_down 👇
point_up ☝️|+1 👍|thumbsup 👍|-1 👎|thumbsdown 👎|fist ✊|facepunch 👊|clap 👏|raised_hands 🙌|open_hands 👐|handshake 🤝
pray 🙏|writing_hand ✍️|muscle 💪|eyes 👀|eye 👁️|brain 🧠|baby 👶|face_palm 🤦|shrug 🤷|man-shrugging 🤷‍♂️|woman-shrugging 🤷‍♀️
technologist 🧑‍💻|firefighter 🧑‍🚒|detective 🕵️|busts_in_silhouette 👥|bust_in_silhouette 👤
dog 🐶|cat 🐱|fox_face 🦊|bear 🐻|panda_face 🐼|penguin 🐧|bird 🐦|owl 🦉|unicorn_face 🦄|bee 🐝|bug 🐛|snail 🐌|turtle 🐢
snake 🐍|octopus 🐙|whale 🐳|dolphin 🐬|elephant 🐘|sunflower 🌻|seedling 🌱|evergreen_tree 🌲|cactus 🌵|four_leaf_clover 🍀
apple 🍎|lemon 🍋|banana 🍌|tomato 🍅|bread 🍞|pizza 🍕|hamburger 🍔|cake 🍰|birthday 🎂|cookie 🍪|coffee ☕|tea 🍵|beer 🍺|beers 🍻
earth_africa 🌍|earth_americas 🌎|globe_with_meridians 🌐|house 🏠|office 🏢|hospital 🏥|bank 🏦|factory 🏭|construction 🚧
rotating_light 🚨|vertical_traffic_light 🚦|traffic_light 🚥|fire_engine 🚒|ambulance 🚑|police_car 🚓|car 🚗|truck 🚚|rocket 🚀
airplane ✈️|ship 🚢|anchor ⚓|fuelpump ⛽|hourglass ⌛|hourglass_flowing_sand ⏳|watch ⌚|alarm_clock ⏰|stopwatch ⏱️|timer_clock ⏲️
clock1 🕐|clock9 🕘|clock12 🕛|sunny ☀️|partly_sunny ⛅|cloud ☁️|rain_cloud 🌧️|thunder_cloud_and_rain ⛈️|lightning 🌩️|snowflake ❄️
fire 🔥|droplet 💧|ocean 🌊|zap ⚡|rainbow 🌈|star ⭐|star2 🌟|sparkles ✨|tada 🎉|confetti_ball 🎊|balloon 🎈|gift 🎁|trophy 🏆|medal 🏅
dart 🎯|game_die 🎲|art 🎨|microphone 🎤|headphones 🎧|musical_note 🎵|bell 🔔|no_bell 🔕|loudspeaker 📢|mega 📣
phone ☎️|telephone_receiver 📞|iphone 📱|pager 📟|battery 🔋|electric_plug 🔌|computer 💻|desktop_computer 🖥️|printer 🖨️|keyboard ⌨️
floppy_disk 💾|cd 💿|camera 📷|mag 🔍|mag_right 🔎|bulb 💡|flashlight 🔦|candle 🕯️|book 📖|books 📚|notebook 📓|newspaper 📰|label 🏷️
moneybag 💰|credit_card 💳|receipt 🧾|email 📧|envelope ✉️|incoming_envelope 📨|inbox_tray 📥|outbox_tray 📤|package 📦|mailbox 📫
pencil ✏️|pencil2 ✏️|memo 📝|briefcase 💼|file_folder 📁|open_file_folder 📂|calendar 📆|date 📅|clipboard 📋|pushpin 📌|round_pushpin 📍
paperclip 📎|link 🔗|scissors ✂️|lock 🔒|unlock 🔓|key 🔑|hammer 🔨|wrench 🔧|hammer_and_wrench 🛠️|nut_and_bolt 🔩|gear ⚙️|shield 🛡️
chart_with_upwards_trend 📈|chart_with_downwards_trend 📉|bar_chart 📊|test_tube 🧪|microscope 🔬|telescope 🔭|satellite_antenna 📡
pill 💊|adhesive_bandage 🩹|stethoscope 🩺|door 🚪|broom 🧹|soap 🧼|wastebasket 🗑️|shopping_trolley 🛒|checkered_flag 🏁
triangular_flag_on_post 🚩|white_flag 🏳️|warning ⚠️|no_entry ⛔|no_entry_sign 🚫|octagonal_sign 🛑|radioactive_sign ☢️|biohazard_sign ☣️
arrow_up ⬆️|arrow_right ➡️|arrow_down ⬇️|arrow_left ⬅️|arrow_upper_right ↗️|arrow_lower_right ↘️|arrows_counterclockwise 🔄
arrows_clockwise 🔃|leftwards_arrow_with_hook ↩️|arrow_right_hook ↪️|back 🔙|soon 🔜|repeat 🔁|arrow_forward ▶️|double_vertical_bar ⏸️
black_square_for_stop ⏹️|heavy_plus_sign ➕|heavy_minus_sign ➖|heavy_multiplication_x ✖️|bangbang ‼️|question ❓|grey_question ❔
exclamation ❗|grey_exclamation ❕|recycle ♻️|white_check_mark ✅|ballot_box_with_check ☑️|heavy_check_mark ✔️|x ❌
negative_squared_cross_mark ❎|information_source ℹ️|ok 🆗|new 🆕|up 🆙|cool 🆒|free 🆓|sos 🆘|id 🆔
red_circle 🔴|large_orange_circle 🟠|large_yellow_circle 🟡|large_green_circle 🟢|large_blue_circle 🔵|large_purple_circle 🟣
large_brown_circle 🟤|black_circle ⚫|white_circle ⚪|large_red_square 🟥|large_orange_square 🟧|large_yellow_square 🟨
large_green_square 🟩|large_blue_square 🟦|large_purple_square 🟪|black_large_square ⬛|white_large_square ⬜|small_red_triangle 🔺
small_red_triangle_down 🔻|large_orange_diamond 🔶|large_blue_diamond 🔷|small_orange_diamond 🔸|small_blue_diamond 🔹
one 1️⃣|two 2️⃣|three 3️⃣|four 4️⃣|five 5️⃣|six 6️⃣|seven 7️⃣|eight 8️⃣|nine 9️⃣|keycap_ten 🔟|zero 0️⃣|hash #️⃣|asterisk *️⃣
flag-gb 🇬🇧|flag-us 🇺🇸|us 🇺🇸|flag-de 🇩🇪|de 🇩🇪|flag-fr 🇫🇷|fr 🇫🇷|flag-eu 🇪🇺|flag-in 🇮🇳|flag-jp 🇯🇵|jp 🇯🇵|wilted_flower 🥀
`;

const byName = new Map();
for (const entry of TABLE.trim().split(/[|\n]/)) {
  const gap = entry.indexOf(" ");
  byName.set(entry.slice(0, gap), entry.slice(gap + 1));
}

/** The character for a name, or null. */
export const emoji = (name) => byName.get(name.replace(/::skin-tone-\d$/, "")) ?? null;

/** The names that begin with, and then those that contain, some letters. */
export function emojiNames(letters, most = 8) {
  const names = [...byName.keys()];
  const begin = names.filter((name) => name.startsWith(letters));
  const contain = names.filter((name) => !name.startsWith(letters) && name.includes(letters));
  return [...begin, ...contain].slice(0, most);
}

/** What a reaction is chosen from. */
export const USUAL = ["eyes", "white_check_mark", "+1", "raised_hands", "tada", "heart", "joy", "thinking_face", "fire", "rotating_light", "pray", "wave"];
